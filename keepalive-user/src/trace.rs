//! One trace from start to end: the rooms joined.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    decode::{self, Clock, Decoded, Item, Notice, Received},
    enrich::{Deaths, Enricher, Outcome},
    error::Error,
    event::{EventKind, Lost, Ready, SocketEvent},
    output::Output,
    progress::Progress,
    settings::{Events, Format, TraceSettings},
    sinks::{Buffers, Screen, Sink},
    source::{Drained, Source},
    stats::Stats,
    stop::{Stop, at},
    summary::Summary,
};

/// While events come, how often the kernel half is asked what it lost.
const LOSS_CHECK: Duration = Duration::from_secs(1);
/// The wall clock may be stepped: the distance to it is taken anew this often.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// Events that may wait for a descriptor pass; past it they go out with what is known.
const WAITING: usize = 65_536;

/// Runs until the user, the duration or the count ends it.
pub fn run(settings: &TraceSettings) -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Internal {
            operation: "starting",
            source,
        })?
        .block_on(trace(settings))
}

async fn trace(settings: &TraceSettings) -> Result<(), Error> {
    let mut stop = Stop::listen()?;
    let mut source = Source::open(settings)?;
    let mut output = Output::start().map_err(|source| Error::Internal {
        operation: "starting the writer",
        source,
    })?;
    let mut pipeline = Pipeline::new(settings, &mut source);
    // After the hooks: whatever is opened from here on is seen by one of the two.
    let mut progress = Progress::start(true);
    pipeline.enricher.pass(&mut || progress.step());
    progress.end();
    pipeline.ready(&source)?;
    output.send(&mut pipeline.buffers).await;
    source.attach_guards()?;
    stop.start_clock(settings.duration);

    let mut broken = false;
    while !pipeline.is_done() {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            () = output.ended() => {
                broken = true;
                break;
            }
            () = at(pipeline.wait_until) => pipeline.retry(),
            () = at(pipeline.loss_check) => pipeline.check_loss(&source)?,
            () = at(pipeline.stats.as_ref().map(Stats::due)) => pipeline.tell_stats(&source)?,
            drained = source.drain(|bytes| pipeline.take(bytes)) => {
                pipeline.after_batch(drained?, &source)?;
            }
        }
        tokio::select! {
            biased;
            () = output.send(&mut pipeline.buffers) => {}
            // A reader that takes nothing must not keep the user from ending this.
            () = stop.asked() => break,
        }
    }

    pipeline.summary.skipped = source.skipped();
    if let Some(stats) = &mut pipeline.stats {
        stats.read(&source);
    }
    source.finish(|bytes| pipeline.take(bytes));
    pipeline.flush();
    pipeline.finish(&source)?;
    if broken {
        // Nobody reads: quiet to the end.
        pipeline.buffers = Buffers::default();
    }
    output
        .finish(&mut pipeline.buffers)
        .map_err(|source| Error::Internal {
            operation: "writing to stdout",
            source,
        })
}

/// What may have to wait for its turn.
enum Later {
    Event(Decoded),
    Received(Received),
    /// The socket with this inode is gone.
    Ended(u64),
}

/// Bytes in, text out.
struct Pipeline {
    hz: u32,
    events: Events,
    clock: Clock,
    clock_taken: Instant,
    enricher: Enricher,
    deaths: Deaths,
    /// Notices that the kernel half could not deliver, as far as that was asked.
    unheard: u64,
    sink: Sink,
    buffers: Buffers,
    summary: Summary,
    /// Events left to print.
    left: Option<u64>,
    /// Events behind one whose owner the next pass will tell, in order.
    waiting: VecDeque<Later>,
    wait_until: Option<Instant>,
    loss_check: Option<Instant>,
    began: Instant,
    /// Only where `--stats` asks for it.
    stats: Option<Stats>,
}

impl Pipeline {
    fn new(settings: &TraceSettings, source: &mut Source) -> Self {
        Self {
            hz: source.attached.hz,
            events: settings.events,
            clock: Clock::now(),
            clock_taken: Instant::now(),
            enricher: Enricher::new(&settings.filters, source.take_process_tables()),
            deaths: Deaths::default(),
            unheard: 0,
            sink: Sink::new(settings.output, screen(settings.output)),
            buffers: Buffers::default(),
            summary: Summary::default(),
            left: settings.count,
            waiting: VecDeque::new(),
            wait_until: None,
            loss_check: None,
            began: Instant::now(),
            stats: settings.stats.then(Stats::begin),
        }
    }

    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    fn ready(&mut self, source: &Source) -> Result<(), Error> {
        let attached = &source.attached;
        let ready = Ready {
            time: self.clock.time(),
            version: env!("CARGO_PKG_VERSION"),
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            attach: attached.attach,
            attach_reason: attached.reason.clone(),
            hooks: attached.hooks.clone(),
            missing: attached.missing.clone(),
        };
        self.sink
            .ready(&ready, &mut self.buffers)
            .map_err(formatting)
    }

    /// One record of the ring.
    fn take(&mut self, bytes: &[u8]) {
        match decode::item(bytes, &self.clock, self.hz) {
            // Changes among holders count at once, also for what waits.
            Ok(Item::Notice(notice)) => {
                self.enricher.notice(&notice);
                if let Notice::Ended { inode } = notice {
                    self.in_turn(Later::Ended(inode));
                }
            }
            Ok(Item::Event(decoded)) => self.event(Later::Event(decoded)),
            Ok(Item::Received(received)) => self.event(Later::Received(received)),
            Err(_) => self.summary.undecodable(1),
        }
    }

    fn event(&mut self, item: Later) {
        if let Some(stats) = &mut self.stats {
            stats.event();
        }
        self.in_turn(item);
    }

    fn in_turn(&mut self, item: Later) {
        if self.waiting.is_empty() {
            self.offer(item, false);
        } else {
            self.waiting.push_back(item);
        }
    }

    fn offer(&mut self, item: Later, at_once: bool) {
        match item {
            Later::Event(decoded) if at_once => {
                let outcome = self.enricher.enrich_now(decoded);
                self.settle(outcome);
            }
            Later::Event(decoded) => {
                let outcome = self.enricher.enrich(decoded);
                self.settle(outcome);
            }
            Later::Received(received) => {
                if let Some(event) = self.deaths.received(received) {
                    self.show(&event);
                }
            }
            Later::Ended(inode) => self.deaths.ended(inode),
        }
    }

    fn settle(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Event(event) => {
                self.deaths.event(&event);
                self.show(&event);
            }
            Outcome::Unwanted => {}
            Outcome::Wait(decoded, until) => {
                self.waiting.push_front(Later::Event(decoded));
                self.wait_until = Some(until);
            }
        }
    }

    fn show(&mut self, event: &SocketEvent) {
        // Deaths come for the sake of `noticed` too.
        if self.is_done() || !self.events.wants(&event.kind) {
            return;
        }
        self.summary.event(event);
        // Into memory: it cannot fail.
        let _ = self.sink.event(event, &mut self.buffers);
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
    }

    /// The next pass may run: what waited for it goes on.
    fn retry(&mut self) {
        self.wait_until = None;
        while self.wait_until.is_none()
            && let Some(item) = self.waiting.pop_front()
        {
            self.offer(item, false);
        }
    }

    fn after_batch(&mut self, drained: Drained, source: &Source) -> Result<(), Error> {
        if let Some(stats) = &mut self.stats {
            stats.took(drained);
        }
        if self.waiting.len() > WAITING {
            self.flush();
        }
        if self.clock_taken.elapsed() > CLOCK_CHECK {
            self.clock = Clock::now();
            self.clock_taken = Instant::now();
        }
        match self.loss_check {
            Some(due) if Instant::now() >= due => self.check_loss(source)?,
            Some(_) => {}
            None => self.loss_check = Some(Instant::now() + LOSS_CHECK),
        }
        Ok(())
    }

    /// Says what the kernel half could not deliver since it was last asked.
    fn check_loss(&mut self, source: &Source) -> Result<(), Error> {
        self.loss_check = None;
        let dropped = source.dropped()?;
        self.summary.untracked = dropped.untracked;
        if dropped.unheard > self.unheard {
            self.unheard = dropped.unheard;
            self.enricher.forget();
        }
        let count = dropped.lost.saturating_sub(self.summary.lost);
        if count > 0 {
            self.summary.lost(count);
            let lost = Lost {
                time: self.clock.time(),
                count,
            };
            self.sink
                .lost(&lost, &mut self.buffers)
                .map_err(formatting)?;
        }
        Ok(())
    }

    /// Everything that waits goes out with what is known by now.
    fn flush(&mut self) {
        self.wait_until = None;
        if !self.waiting.is_empty() {
            self.enricher.pass(&mut || ());
        }
        while let Some(item) = self.waiting.pop_front() {
            self.offer(item, true);
        }
    }

    /// What katrace itself has cost since it last said so.
    fn tell_stats(&mut self, source: &Source) -> Result<(), Error> {
        self.check_loss(source)?;
        if let Some(stats) = &mut self.stats {
            let line = stats.line(source, self.summary.lost);
            self.buffers.err.extend_from_slice(line.as_bytes());
        }
        Ok(())
    }

    fn finish(&mut self, source: &Source) -> Result<(), Error> {
        self.check_loss(source)?;
        if let Some(stats) = &mut self.stats {
            let line = stats.last(self.summary.lost);
            self.buffers.err.extend_from_slice(line.as_bytes());
        }
        if self.events.has(EventKind::Noticed) {
            self.summary.unnoticed(&self.deaths, self.clock.time());
        }
        self.summary.duration_ms =
            u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.sink
            .summary(&self.summary, &mut self.buffers)
            .map_err(formatting)
    }
}

/// Only a table is drawn for a screen, and finding the local time zone takes a while.
fn screen(format: Format) -> Screen {
    match format {
        Format::Table => Screen::of_stdout(),
        Format::Json | Format::JsonPretty | Format::Csv => Screen::plain(),
    }
}

fn formatting(source: std::io::Error) -> Error {
    Error::Internal {
        operation: "formatting a record",
        source,
    }
}
