//! One line of `--stats`: the counts it is made of, and its text.

use std::{fmt, time::Duration};

/// Counts that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Since tracing began, or since the last line.
    pub time: Duration,
    /// Events that arrived.
    pub events: u64,
    /// Events that found no room in the ring.
    pub lost: u64,
    /// Records of the ring: events, and what the kernel half tells about processes.
    pub records: u64,
    /// How often katrace was woken to read the ring.
    pub wakeups: u64,
    /// Time of katrace's programs in the kernel; `None` while the kernel does not count it.
    pub kernel: Option<Duration>,
    /// User and system time of this process since tracing began.
    pub cpu: Duration,
}

/// The largest values seen, and the memory that is used now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// Resident bytes now, and the most so far; `None` if /proc does not tell.
    pub resident: Option<(u64, u64)>,
    /// The part of the ring that was in use, percent; `None` if its positions cannot be seen.
    pub ring: Option<u64>,
    /// Records that were read between a wake-up and the next empty ring.
    pub batch: u64,
}

impl Totals {
    /// What was added since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            time: self.time.saturating_sub(before.time),
            events: self.events - before.events,
            lost: self.lost.saturating_sub(before.lost),
            records: self.records - before.records,
            wakeups: self.wakeups - before.wakeups,
            // If counting was switched on meanwhile, it began at zero.
            kernel: self
                .kernel
                .map(|now| now.saturating_sub(before.kernel.unwrap_or_default())),
            cpu: self.cpu.saturating_sub(before.cpu),
        }
    }
}

/// The text of a line, without what precedes it on stderr.
pub struct Line(pub Totals, pub Most);

impl fmt::Display for Line {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            Line(totals(), most).to_string(),
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
        let line = Line(uncounted, Most::default()).to_string();
        assert!(line.contains("kernel time not counted"), "{line}");
        assert!(line.contains("kernel.bpf_stats_enabled=1"), "{line}");
        assert!(
            !line.contains("resident") && !line.contains("ring"),
            "{line}"
        );
        // Nothing was counted yet, and nothing is divided by zero.
        let line = Line(Totals::default(), Most::default()).to_string();
        assert!(line.starts_with("0 events, 0 lost in 0.0 s"), "{line}");
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
}
