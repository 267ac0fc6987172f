//! One trace from start to end. It connects the other rooms.
//!
//! Everything here runs in one task, which never waits for a file, a look-up or a reader: it takes records from
//! the ring and answers from the worker thread, and hands batches to the writers' threads.

mod pipeline;

use std::time::{Duration, Instant};

use self::pipeline::Pipeline;
pub use crate::output::Ended;
use crate::{
    enrich::Worker,
    error::Error,
    event::EventKind,
    output::Output,
    progress::Progress,
    settings::TraceSettings,
    sinks::Buffers,
    source::Source,
    stop::{Stop, at},
};

/// At the end, owners that are being looked up are waited for this long after the last reading of the ring.
const GRACE: Duration = Duration::from_millis(300);
/// The same, counted from the end of the run, however much the ring still holds.
const GRACE_IN_ALL: Duration = Duration::from_millis(600);
/// How often the first pass is asked how far it is.
const PROGRESS: Duration = Duration::from_millis(100);

/// Runs until the user, the duration or the count ends it.
///
/// # Errors
///
/// The host refuses, or katrace itself fails.
pub fn run(settings: &TraceSettings) -> Result<Ended, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::during("starting"))?
        .block_on(trace(settings))
}

async fn trace(settings: &TraceSettings) -> Result<Ended, Error> {
    // Before signals are listened for: TZ may name a file that is never read to its end. Until then a signal ends
    // the program at once.
    let screen = pipeline::screen(settings.output);
    let mut stop = Stop::listen()?;
    let mut source = Source::open(settings)?;
    let output = Output::start().map_err(Error::during("starting the writers"))?;
    // After the hooks: a descriptor that is opened from here on is seen by a hook or by the pass.
    let has_stacks = settings.events.has(EventKind::Noticed) && source.attached.has_stacks();
    let worker = Worker::start(source.take_process_tables(), has_stacks)
        .map_err(Error::during("starting to look up owners"))?;
    let mut tracer = Tracer {
        pipeline: Pipeline::new(settings, screen, source.attached.hz),
        settings,
        source,
        output,
        worker,
    };
    let end = tracer.run(&mut stop).await?;
    tracer.finish(end, &mut stop).await
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The user or the duration.
    Asked,
    /// As many events as were asked for.
    Count,
    /// Nobody reads the output any more.
    NoReader,
}

/// How long owners are waited for at the end.
struct Grace {
    until: Instant,
    at_most: Instant,
}

impl Grace {
    fn begin(now: Instant) -> Self {
        Self {
            until: now + GRACE,
            at_most: now + GRACE_IN_ALL,
        }
    }

    /// There was something to read, or an answer to what was read.
    fn renew(&mut self, now: Instant) {
        self.until = self.at_most.min(now + GRACE);
    }
}

/// Everything that runs during a trace.
struct Tracer<'a> {
    settings: &'a TraceSettings,
    source: Source,
    pipeline: Pipeline,
    output: Output,
    worker: Worker,
}

impl Tracer<'_> {
    /// Takes records and answers until something ends the run.
    async fn run(&mut self, stop: &mut Stop) -> Result<End, Error> {
        let mut progress = Some(Progress::start(true));
        let mut look_at_progress = Some(Instant::now() + PROGRESS);
        while !self.pipeline.is_done() {
            let Self {
                source,
                pipeline,
                output,
                worker,
                ..
            } = self;
            let mut answers = None;
            let may_take = pipeline.may_take();
            tokio::select! {
                biased;
                () = stop.asked() => return Ok(End::Asked),
                () = output.ended() => return Ok(End::NoReader),
                // Before the deadline: an answer that is there counts, however late this task is.
                given = worker.answers() => {
                    answers = Some(given.ok_or_else(|| Error::during("looking up owners")(
                        std::io::Error::other("the thread has ended"),
                    ))?);
                }
                () = at(pipeline.deadline()) => pipeline.release(),
                () = at(pipeline.pause()) => pipeline.end_pause(source.has_room()),
                () = at(pipeline.loss_check()) => if pipeline.check_loss(source)? {
                    worker.forget();
                },
                () = at(pipeline.stats_due()) => {
                    if pipeline.check_loss(source)? {
                        worker.forget();
                    }
                    pipeline.tell_stats(source);
                }
                () = at(look_at_progress) => {
                    look_at_progress = Some(Instant::now() + PROGRESS);
                    if let Some(text) = progress.as_mut().and_then(|p| p.text(worker.progress())) {
                        output.say(text.as_bytes());
                    }
                }
                drained = source.drain(|bytes| pipeline.take(bytes)), if may_take => {
                    pipeline.after_batch(drained?);
                }
            }
            if let Some(answers) = answers
                && self.pipeline.answer(answers, &self.source)?
            {
                look_at_progress = None;
                self.begin(progress.take(), stop).await?;
            }
            self.pipeline.tell(&self.worker);
            tokio::select! {
                biased;
                () = self.output.send(&mut self.pipeline.outlet.buffers) => {}
                // A reader that takes nothing must not keep the user from ending this.
                () = stop.asked() => return Ok(End::Asked),
            }
        }
        Ok(End::Count)
    }

    /// The first pass is done, and `ready` stands in the buffers: writes it, and does what had to wait until then.
    async fn begin(&mut self, progress: Option<Progress>, stop: &mut Stop) -> Result<(), Error> {
        let text = progress.and_then(Progress::last_text);
        self.output.say(text.unwrap_or_default().as_bytes());
        self.output.send(&mut self.pipeline.outlet.buffers).await;
        self.source.attach_guards()?;
        stop.start_clock(self.settings.duration);
        Ok(())
    }

    /// Takes what the ring still holds, as long as the worker answers. Then waits a little for the rest of the owners.
    async fn drain_rest(&mut self) -> Result<(), Error> {
        let Self {
            source,
            pipeline,
            worker,
            ..
        } = self;
        let mut is_empty = false;
        let mut grace = Grace::begin(Instant::now());
        while !is_empty || pipeline.is_waiting() {
            if !is_empty && !pipeline.is_crowded() {
                is_empty = source.drain_now(|bytes| pipeline.take(bytes)).emptied;
                pipeline.tell(worker);
                grace.renew(Instant::now());
                // A signal is to be heard between two batches.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = at(Some(grace.until)) => break,
                given = worker.answers() => {
                    let Some(answers) = given else { break };
                    pipeline.answer(answers, source)?;
                    pipeline.tell(worker);
                    if !is_empty {
                        grace.renew(Instant::now());
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes what the ring still holds, waits a little for owners, and writes the summary.
    async fn finish(mut self, end: End, stop: &mut Stop) -> Result<Ended, Error> {
        self.pipeline.before_detaching(&self.source)?;
        self.source.detach();
        let mut is_hurried = false;
        if end == End::Asked {
            tokio::select! {
                biased;
                // The second signal.
                () = stop.signal() => is_hurried = true,
                drained = self.drain_rest() => drained?,
            }
        }
        let Self {
            source, pipeline, ..
        } = &mut self;
        source.finish(|bytes| pipeline.take(bytes));
        pipeline.finish(source)?;
        if end == End::NoReader {
            // Nobody reads the output any more, so the summary is not written either.
            pipeline.outlet.buffers = Buffers::default();
        }
        self.output
            .finish(&mut self.pipeline.outlet.buffers, stop, is_hurried)
            .await
            .map_err(Error::during("writing to stdout"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_much_is_left_at_the_end_the_wait_for_owners_is_bounded() {
        let began = Instant::now();
        let mut grace = Grace::begin(began);
        assert_eq!(grace.until, began + GRACE);
        let mut now = began;
        while now < grace.until {
            now += GRACE / 4;
            grace.renew(now);
        }
        assert_eq!(grace.until, began + GRACE_IN_ALL);
    }
}
