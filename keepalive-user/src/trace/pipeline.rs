//! From the bytes of the ring to text.

use std::time::{Duration, Instant};

use crate::{
    decode::{self, Clock, Item as Record, Notice},
    enrich::{Answer, Deaths, Item, Resolved, Resolver, Worker},
    error::Error,
    event::{EventKind, Lost, Ready, SocketEvent},
    settings::{Events, Format, TraceSettings},
    sinks::{Buffers, Screen, Sink},
    source::{Drained, Source},
    stats::Stats,
    summary::Summary,
};

/// While events come, how often the kernel half is asked what it lost.
const LOSS_CHECK: Duration = Duration::from_secs(1);
/// The wall clock may be set, so its distance to the monotonic clock is measured again this often.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// While many events wait for their owners and the ring has room, it is read again after this. Events in the ring
/// do not use up their time to wait.
const PAUSE: Duration = Duration::from_millis(10);
const FORMATTING: &str = "formatting a record";

/// The rooms from `decode` to `sinks`, one behind the other.
pub struct Pipeline {
    hz: u32,
    clock: Clock,
    clock_taken: Instant,
    resolver: Resolver,
    /// Takes the events whose owners are known.
    pub outlet: Outlet,
    /// Notices that the kernel half could not deliver, as of the last time it was asked.
    unheard: u64,
    is_ready: bool,
    /// The ring is not read before this.
    pause: Option<Instant>,
    loss_check: Option<Instant>,
    began: Instant,
    /// Only where `--stats` asks for it.
    stats: Option<Stats>,
}

/// Where events go once their owners are known.
pub struct Outlet {
    events: Events,
    deaths: Deaths,
    sink: Sink,
    /// Text on its way out.
    pub buffers: Buffers,
    summary: Summary,
    /// Events left to print.
    left: Option<u64>,
}

impl Pipeline {
    /// `hz` is jiffies per second.
    pub fn new(settings: &TraceSettings, screen: Screen, hz: u32) -> Self {
        Self {
            hz,
            clock: Clock::now(),
            clock_taken: Instant::now(),
            resolver: Resolver::new(&settings.filters),
            outlet: Outlet {
                events: settings.events,
                deaths: Deaths::default(),
                sink: Sink::new(settings.output, screen),
                buffers: Buffers::default(),
                summary: Summary::default(),
                left: settings.count,
            },
            unheard: 0,
            is_ready: false,
            pause: None,
            loss_check: None,
            began: Instant::now(),
            stats: settings.stats.then(Stats::begin),
        }
    }

    /// Whether as many events were printed as were asked for.
    pub fn is_done(&self) -> bool {
        self.outlet.is_done()
    }

    /// Whether events wait for their owners.
    pub fn is_waiting(&self) -> bool {
        self.resolver.is_waiting()
    }

    /// Whether records may be taken from the ring now. Otherwise the ring holds them, and the kernel half counts
    /// what does not fit.
    pub fn may_take(&self) -> bool {
        !self.resolver.is_full() && self.pause.is_none()
    }

    /// When [`Pipeline::end_pause`] is due.
    pub fn pause(&self) -> Option<Instant> {
        self.pause
    }

    /// The ring is read again, unless many events still wait and it has room.
    pub fn end_pause(&mut self, has_room: bool) {
        self.pause = (has_room && self.is_crowded()).then(|| Instant::now() + PAUSE);
    }

    /// Whether many events wait for their owners.
    pub fn is_crowded(&self) -> bool {
        self.resolver.is_crowded()
    }

    /// When [`Pipeline::release`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.resolver.deadline()
    }

    /// When [`Pipeline::check_loss`] is due.
    pub fn loss_check(&self) -> Option<Instant> {
        self.loss_check.filter(|_| self.is_ready)
    }

    /// When [`Pipeline::tell_stats`] is due.
    pub fn stats_due(&self) -> Option<Instant> {
        let stats = self.stats.as_ref().filter(|_| self.is_ready);
        stats.map(Stats::due)
    }

    /// Takes one record of the ring.
    pub fn take(&mut self, bytes: &[u8]) {
        let item = match decode::item(bytes, &self.clock, self.hz) {
            Ok(Record::Notice(Notice::Ended { inode })) => Item::Ended(inode),
            Ok(Record::Notice(notice)) => return self.resolver.change(notice),
            Ok(Record::Event(decoded)) => Item::Event(decoded),
            Ok(Record::Received(received)) => Item::Received(received),
            Err(_) => return self.outlet.summary.undecodable(1),
        };
        if let Some(stats) = &mut self.stats
            && !matches!(item, Item::Ended(_))
        {
            stats.event();
        }
        let outlet = &mut self.outlet;
        self.resolver
            .take(item, Instant::now(), &mut |resolved| outlet.take(resolved));
    }

    /// To be called after each reading of the ring.
    pub fn after_batch(&mut self, drained: Drained) {
        if let Some(stats) = &mut self.stats {
            stats.took(drained);
        }
        if self.is_crowded() {
            self.pause = Some(Instant::now() + PAUSE);
        }
        if self.clock_taken.elapsed() > CLOCK_CHECK {
            self.clock = Clock::now();
            self.clock_taken = Instant::now();
        }
        if self.loss_check.is_none() {
            self.loss_check = Some(Instant::now() + LOSS_CHECK);
        }
    }

    /// Hands the worker what it is to know and to look up.
    pub fn tell(&mut self, worker: &Worker) {
        if !worker.send(self.resolver.messages()) {
            self.resolver.forget();
        }
    }

    /// Takes answers of the worker. True once, when they say that the first pass is done.
    ///
    /// # Errors
    ///
    /// The first record cannot be formatted.
    pub fn answer(&mut self, answers: Vec<Answer>, source: &Source) -> Result<bool, Error> {
        let is_passed = !self.is_ready
            && answers
                .iter()
                .any(|answer| matches!(answer, Answer::Passed));
        if is_passed {
            self.ready(source)?;
        }
        let outlet = &mut self.outlet;
        self.resolver
            .answer(answers, Instant::now(), &mut |resolved| {
                outlet.take(resolved)
            });
        Ok(is_passed)
    }

    /// Lets go what has waited long enough.
    pub fn release(&mut self) {
        let outlet = &mut self.outlet;
        self.resolver
            .release(Instant::now(), &mut |resolved| outlet.take(resolved));
    }

    /// Writes the first record, and what waited for it.
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
        let outlet = &mut self.outlet;
        outlet
            .sink
            .ready(&ready, &mut outlet.buffers)
            .map_err(Error::during(FORMATTING))?;
        self.is_ready = true;
        self.resolver
            .begin(Instant::now(), &mut |resolved| outlet.take(resolved));
        Ok(())
    }

    /// Says what the kernel half could not deliver since it was last asked. True if changes of processes are
    /// among that: then the worker is to forget what it knows.
    ///
    /// # Errors
    ///
    /// The counters cannot be read.
    pub fn check_loss(&mut self, source: &Source) -> Result<bool, Error> {
        self.loss_check = None;
        let dropped = source.dropped()?;
        let outlet = &mut self.outlet;
        outlet.summary.untracked = dropped.untracked;
        let is_unheard = dropped.unheard > self.unheard;
        if is_unheard {
            self.unheard = dropped.unheard;
            self.resolver.forget();
            outlet.deaths.lost_ends(self.clock.time());
        }
        let count = dropped.lost.saturating_sub(outlet.summary.lost);
        if count > 0 {
            outlet.summary.lost(count);
            let lost = Lost {
                time: self.clock.time(),
                count,
            };
            outlet
                .sink
                .lost(&lost, &mut outlet.buffers)
                .map_err(Error::during(FORMATTING))?;
        }
        Ok(is_unheard)
    }

    /// Says what katrace itself has cost since it last said so.
    pub fn tell_stats(&mut self, source: &Source) {
        if let Some(stats) = &mut self.stats {
            let line = stats.line(source, self.outlet.summary.lost);
            self.outlet.buffers.err.extend_from_slice(line.as_bytes());
        }
    }

    /// Reads the counters that cannot be read once the hooks are detached. If the first pass is not done, the events
    /// that wait for it go on.
    ///
    /// # Errors
    ///
    /// The first record cannot be formatted.
    pub fn before_detaching(&mut self, source: &Source) -> Result<(), Error> {
        self.outlet.summary.skipped = source.skipped();
        if let Some(stats) = &mut self.stats {
            stats.read(source);
        }
        if !self.is_ready {
            self.ready(source)?;
        }
        Ok(())
    }

    /// Lets go everything with what is known by now, and writes the last record.
    ///
    /// # Errors
    ///
    /// The counters cannot be read, or the last record cannot be formatted.
    pub fn finish(&mut self, source: &Source) -> Result<(), Error> {
        let outlet = &mut self.outlet;
        self.resolver.flush(&mut |resolved| outlet.take(resolved));
        self.check_loss(source)?;
        let outlet = &mut self.outlet;
        let summary = &mut outlet.summary;
        summary.undecided = self.resolver.undecided();
        if let Some(stats) = &mut self.stats {
            let line = stats.last(summary.lost);
            outlet.buffers.err.extend_from_slice(line.as_bytes());
        }
        if outlet.events.has(EventKind::Noticed) {
            summary.unnoticed(&outlet.deaths, self.clock.time());
        }
        summary.duration_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        outlet
            .sink
            .summary(summary, &mut outlet.buffers)
            .map_err(Error::during(FORMATTING))
    }
}

impl Outlet {
    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    fn take(&mut self, resolved: Resolved) {
        match resolved {
            Resolved::Event(event) => {
                self.deaths.event(&event);
                self.show(&event);
            }
            Resolved::Received(received) => {
                if let Some(event) = self.deaths.received(received) {
                    self.show(&event);
                }
            }
            Resolved::Ended(inode) => self.deaths.ended(inode),
        }
    }

    fn show(&mut self, event: &SocketEvent) {
        // Deaths come also where only `noticed` was asked for.
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
}

/// Only a table is drawn for a screen, and finding the local time zone takes a while.
pub fn screen(format: Format) -> Screen {
    match format {
        Format::Table => Screen::of_stdout(),
        Format::Json | Format::JsonPretty | Format::Csv => Screen::plain(),
    }
}
