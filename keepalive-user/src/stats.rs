//! What katrace itself costs, for `--stats`: a line every few seconds about that time, and one at the
//! end about the whole run.

mod line;

use std::{
    fs,
    time::{Duration, Instant},
};

use procfs::process::Process;
use rustix::time::{ClockId, clock_gettime};

use self::line::{Line, Most, Totals};
use crate::source::{Drained, Source};

/// The time between two lines.
const EVERY: Duration = Duration::from_secs(5);
/// `1` while the kernel counts the time of programs.
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The counts of a run.
pub struct Stats {
    began: Instant,
    /// CPU time that the start took, which is no cost of tracing.
    start: Duration,
    due: Instant,
    totals: Totals,
    /// The totals at the last line.
    told: Totals,
    waking: Waking,
    most: Most,
}

/// Tells a wake-up from a reading that continues because the ring was not empty.
#[derive(Debug)]
struct Waking {
    /// The ring was empty, so the next reading begins with a wake-up.
    asleep: bool,
    /// Records read since the last wake-up.
    batch: u64,
}

impl Stats {
    /// Begins to count.
    pub fn begin() -> Self {
        let began = Instant::now();
        Self {
            began,
            start: cpu(),
            due: began + EVERY,
            totals: Totals::default(),
            told: Totals::default(),
            waking: Waking {
                asleep: true,
                batch: 0,
            },
            most: Most::default(),
        }
    }

    /// When the next line is due.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Counts an event.
    pub const fn event(&mut self) {
        self.totals.events += 1;
    }

    /// Counts one reading of the ring.
    pub fn took(&mut self, drained: Drained) {
        self.totals.records += drained.records as u64;
        if self.waking.asleep {
            self.totals.wakeups += 1;
            self.waking.batch = 0;
        }
        self.waking.batch += drained.records as u64;
        self.waking.asleep = drained.emptied;
        self.most.batch = self.most.batch.max(self.waking.batch);
    }

    /// Reads the counts that are gone once the hooks are detached.
    pub fn read(&mut self, source: &Source) {
        self.totals.kernel = kernel(source);
        self.most.ring = source
            .ring_most()
            .map(|(most, size)| most as u64 * 100 / u64::from(size).max(1));
    }

    /// The line for the time since the last one.
    pub fn line(&mut self, source: &Source, lost: u64) -> String {
        self.read(source);
        self.read_process(lost);
        self.due = Instant::now() + EVERY;
        let since = self.totals.since(self.told);
        self.told = self.totals;
        self.text("", since)
    }

    /// The line for the whole run.
    pub fn last(&mut self, lost: u64) -> String {
        self.read_process(lost);
        self.text("in all ", self.totals)
    }

    fn read_process(&mut self, lost: u64) {
        self.totals.time = self.began.elapsed();
        self.totals.lost = lost;
        self.totals.cpu = cpu().saturating_sub(self.start);
        self.most.resident = resident();
    }

    fn text(&self, what: &str, totals: Totals) -> String {
        format!("katrace: stats: {what}{}\n", Line(totals, self.most))
    }
}

/// Time of katrace's programs in the kernel; `None` while the kernel does not count it.
fn kernel(source: &Source) -> Option<Duration> {
    let (time, runs) = source.spent()?;
    // Another program can have the kernel count without the switch (BPF_ENABLE_STATS); then there are
    // runs.
    let counting = runs > 0 || fs::read_to_string(SWITCH).is_ok_and(|text| text.trim() == "1");
    counting.then_some(time)
}

/// User and system time of this process.
fn cpu() -> Duration {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    // This clock is never negative, and its nanoseconds are below a billion.
    Duration::new(
        cpu.tv_sec.unsigned_abs(),
        u32::try_from(cpu.tv_nsec).unwrap_or(0),
    )
}

/// Resident bytes now, and the most so far.
fn resident() -> Option<(u64, u64)> {
    let status = Process::myself().and_then(|own| own.status()).ok()?;
    Some((status.vmrss? * 1024, status.vmhwm? * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(records: usize, emptied: bool) -> Drained {
        Drained { records, emptied }
    }

    #[test]
    fn a_reading_that_goes_on_is_no_wake_up() {
        let mut stats = Stats::begin();
        for (records, emptied) in [(10, true), (4096, false), (4, true), (0, true)] {
            stats.took(drained(records, emptied));
        }
        assert_eq!(stats.totals.wakeups, 3);
        assert_eq!(stats.totals.records, 4110);
        assert_eq!(stats.most.batch, 4100);
    }

    #[test]
    fn this_process_has_memory() {
        let (now, peak) = resident().unwrap();
        assert!(now > 0 && peak >= now);
    }
}
