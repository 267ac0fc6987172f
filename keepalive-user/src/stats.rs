//! What katrace itself costs, for those who ask with `--stats`: a line every few seconds for that
//! time, and one at the end for all of it.

use std::{
    fmt, fs,
    time::{Duration, Instant},
};

use procfs::process::Process;
use rustix::time::{ClockId, clock_gettime};

use crate::source::{Drained, Source};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(5);
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The account of a run.
pub struct Stats {
    began: Instant,
    /// What starting took is not part of tracing's cost.
    start: Duration,
    due: Instant,
    totals: Totals,
    /// As of the last line.
    told: Totals,
    waking: Waking,
    most: Most,
}

/// What only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    time: Duration,
    /// Events that arrived.
    events: u64,
    lost: u64,
    /// Events, and what the kernel half tells of processes.
    records: u64,
    wakeups: u64,
    /// Of katrace's programs; `None` while the kernel does not count it.
    kernel: Option<Duration>,
    /// User and system time of this process since it is ready.
    cpu: Duration,
}

/// The largest values seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Most {
    /// Bytes now and at most; `None` if /proc does not tell.
    resident: Option<(u64, u64)>,
    /// Hundredths of the ring; `None` if its positions cannot be seen.
    ring: Option<u64>,
    /// Records taken before the ring was empty again.
    batch: u64,
}

/// Tells wake-ups from readings that went on because there was more.
#[derive(Debug)]
struct Waking {
    asleep: bool,
    batch: u64,
}

impl Stats {
    /// Begins now.
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

    /// Asks the kernel what has been used until now. At the end, before the hooks are gone.
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
        format!("katrace: stats: {what}{}\n", Account(totals, self.most))
    }
}

impl Totals {
    fn since(self, before: Self) -> Self {
        Self {
            time: self.time.saturating_sub(before.time),
            events: self.events - before.events,
            lost: self.lost.saturating_sub(before.lost),
            records: self.records - before.records,
            wakeups: self.wakeups - before.wakeups,
            // Switched on meanwhile, it counts from there.
            kernel: self
                .kernel
                .map(|now| now.saturating_sub(before.kernel.unwrap_or_default())),
            cpu: self.cpu.saturating_sub(before.cpu),
        }
    }
}

/// Both as one line of text.
struct Account(Totals, Most);

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(totals, most) = self;
        let seconds = totals.time.as_secs_f64().max(f64::EPSILON);
        write!(
            f,
            "{} events, {} lost in {seconds:.1} s; ",
            totals.events, totals.lost
        )?;
        let known = totals.events + totals.lost;
        match totals.kernel {
            Some(kernel) if known > 0 => {
                let each = kernel.as_nanos() / u128::from(known);
                write!(f, "kernel {each} ns an event; ")?;
            }
            Some(kernel) => write!(f, "kernel {} µs; ", kernel.as_micros())?,
            None => f.write_str(
                "kernel time not counted, switch it on with `sysctl kernel.bpf_stats_enabled=1`; ",
            )?,
        }
        write!(f, "{:.2} % CPU", 100.0 * totals.cpu.as_secs_f64() / seconds)?;
        if let Some((now, peak)) = most.resident {
            let megabytes = |bytes: u64| bytes as f64 / 1e6;
            write!(
                f,
                "; {:.1} MB resident, {:.1} MB at most",
                megabytes(now),
                megabytes(peak)
            )?;
        }
        if let Some(hundredths) = most.ring {
            write!(f, "; ring {hundredths} % full at most")?;
        }
        let each = totals.records.checked_div(totals.wakeups).unwrap_or(0);
        write!(
            f,
            "; {} wake-ups of {each} records each, {} at most",
            totals.wakeups, most.batch
        )
    }
}

/// Time of katrace's programs; `None` while the kernel does not count it.
fn kernel(source: &Source) -> Option<Duration> {
    let (time, runs) = source.spent()?;
    // Others can have the kernel count it without the switch, and then runs show that it does.
    let counting = runs > 0 || fs::read_to_string(SWITCH).is_ok_and(|text| text.trim() == "1");
    counting.then_some(time)
}

/// User and system time of this process.
fn cpu() -> Duration {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    // Both are small and not negative for this clock.
    Duration::new(
        cpu.tv_sec.unsigned_abs(),
        u32::try_from(cpu.tv_nsec).unwrap_or(0),
    )
}

/// Bytes resident now, and at most.
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

    fn totals() -> Totals {
        Totals {
            time: Duration::from_secs(5),
            events: 20_000,
            lost: 5,
            records: 20_250,
            wakeups: 250,
            kernel: Some(Duration::from_millis(46)),
            cpu: Duration::from_millis(60),
        }
    }

    #[test]
    fn a_line_with_everything() {
        let most = Most {
            resident: Some((14_200_000, 15_000_000)),
            ring: Some(3),
            batch: 512,
        };
        assert_eq!(
            Account(totals(), most).to_string(),
            "20000 events, 5 lost in 5.0 s; kernel 2299 ns an event; 1.20 % CPU; 14.2 MB resident, \
             15.0 MB at most; ring 3 % full at most; 250 wake-ups of 81 records each, 512 at most"
        );
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let uncounted = Totals {
            kernel: None,
            ..totals()
        };
        let line = Account(uncounted, Most::default()).to_string();
        assert!(line.contains("kernel time not counted"), "{line}");
        assert!(line.contains("kernel.bpf_stats_enabled=1"), "{line}");
        assert!(
            !line.contains("resident") && !line.contains("ring"),
            "{line}"
        );
        // Nothing yet: no division by it.
        let line = Account(Totals::default(), Most::default()).to_string();
        assert!(line.starts_with("0 events, 0 lost in 0.0 s"), "{line}");
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
    fn a_line_is_about_the_time_since_the_last() {
        let later = Totals {
            events: 20_100,
            kernel: Some(Duration::from_millis(47)),
            ..totals()
        };
        let since = later.since(totals());
        assert_eq!((since.events, since.lost, since.wakeups), (100, 0, 0));
        assert_eq!(since.kernel, Some(Duration::from_millis(1)));
    }

    #[test]
    fn this_process_has_memory() {
        let (now, peak) = resident().unwrap();
        assert!(now > 0 && peak >= now);
    }
}
