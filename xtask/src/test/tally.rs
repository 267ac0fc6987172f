//! Reads the scenarios' result lines, and counts them.

use std::collections::BTreeSet;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        })
    }
}

/// `RESULT <kernel-release> <backend> <scenario> <passed|FAILED|skipped> <seconds>s [reason…]`
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub kernel: &'a str,
    pub backend: &'a str,
    pub scenario: &'a str,
    pub verdict: Verdict,
    pub time: &'a str,
    pub reason: &'a str,
}

impl<'a> Line<'a> {
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut rest = line.strip_prefix("RESULT ")?.trim();
        let mut word = || {
            let (head, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = tail.trim_start();
            (!head.is_empty()).then_some(head)
        };
        let kernel = word()?;
        let backend = word()?;
        let scenario = word()?;
        let verdict = match word()? {
            "passed" => Verdict::Passed,
            "FAILED" => Verdict::Failed,
            "skipped" => Verdict::Skipped,
            _ => return None,
        };
        let time = word()?;
        Some(Self {
            kernel,
            backend,
            scenario,
            verdict,
            time,
            reason: rest,
        })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!(
            "{:<27} {:<10} {:<28} {:<7} {:>7}  {}",
            self.kernel, self.backend, self.scenario, self.verdict, self.time, self.reason
        );
        f.write_str(line.trim_end())
    }
}

/// What the scenarios print about a run that does not count because the host hid events from every program:
/// `RETRY <kernel-release> <backend> <scenario> [reason…]`. Returns what follows the first word.
pub fn retry(line: &str) -> Option<&str> {
    line.strip_prefix("RETRY ").map(str::trim)
}

/// What one run of the scenarios, or all of them, came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
    pub backends: BTreeSet<String>,
    /// What failed, one line each. They are printed again at the end, where a reader of a long log looks first.
    pub failures: Vec<String>,
    /// Scenarios that were run again, one line for each run that did not count.
    pub retries: Vec<String>,
}

/// Characters of a failure or a retry that the end of the log repeats.
const REMEMBERED: usize = 240;

fn shortened(mut what: String) -> String {
    let end = what.char_indices().nth(REMEMBERED);
    what.truncate(end.map_or(what.len(), |(at, _)| at));
    what
}

impl Tally {
    pub fn count(&mut self, line: &Line) {
        // A backend that was only skipped has not been run.
        if line.verdict != Verdict::Skipped {
            self.backends.insert(line.backend.to_owned());
        }
        match line.verdict {
            Verdict::Passed => self.passed += 1,
            // A skip must say why, or it would hide a failure.
            Verdict::Skipped if line.reason.is_empty() => self.fail(line.to_string()),
            Verdict::Skipped => self.skipped += 1,
            Verdict::Failed => self.fail(line.to_string()),
        }
    }

    /// One more failure.
    pub fn fail(&mut self, what: String) {
        self.failures.push(shortened(what));
        self.failed += 1;
    }

    /// One more run that does not count.
    pub fn retry(&mut self, what: &str) {
        self.retries.push(shortened(what.to_owned()));
    }

    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend_from_slice(&other.failures);
        self.retries.extend_from_slice(&other.retries);
    }

    pub fn total(&self) -> u32 {
        self.passed + self.failed + self.skipped
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_line() {
        let line = Line::parse("RESULT 6.12.1-cloud fentry three_processes passed 5.2s").unwrap();
        assert_eq!(line.kernel, "6.12.1-cloud");
        assert_eq!(line.backend, "fentry");
        assert_eq!(line.scenario, "three_processes");
        assert_eq!(line.verdict, Verdict::Passed);
        assert_eq!(line.time, "5.2s");
        assert_eq!(line.reason, "");
    }

    #[test]
    fn the_reason_is_the_rest_of_the_line() {
        let line = Line::parse("RESULT k kprobe s skipped 0.0s no  kprobes here").unwrap();
        assert_eq!(line.reason, "no  kprobes here");
    }

    #[test]
    fn a_skipped_backend_has_not_been_run() {
        let mut tally = Tally::default();
        for line in [
            "RESULT k fentry a skipped 0.0s refused",
            "RESULT k kprobe a FAILED 0.1s",
            "RESULT k tracepoint a passed 0.1s",
        ] {
            tally.count(&Line::parse(line).unwrap());
        }
        assert!(tally.backends.iter().eq(["kprobe", "tracepoint"]));
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 1, 1));
    }

    #[test]
    fn other_lines_are_no_results() {
        for line in [
            "",
            "RESULT",
            "RESULT a b c",
            "RESULT a b c maybe 1s",
            "RESULT a b c passed",
            "3 passed, 0 failed, 0 skipped",
        ] {
            assert_eq!(Line::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_retry_is_listed_and_counts_as_nothing() {
        let found = retry("RETRY 6.18 tracepoint dead-peer no such `timeout`").unwrap();
        assert_eq!(found, "6.18 tracepoint dead-peer no such `timeout`");
        assert_eq!(retry("  the kernel ran no program for 1 probe"), None);
        let mut tally = Tally::default();
        tally.retry(found);
        let mut total = Tally::default();
        total.add(&tally);
        assert_eq!(total.retries, [found]);
        assert_eq!(total.total(), 0);
    }

    #[test]
    fn a_skip_without_reason_is_a_failure() {
        let mut tally = Tally::default();
        for line in [
            "RESULT k fentry a passed 1s",
            "RESULT k kprobe a skipped 0s refused",
            "RESULT k kprobe b skipped 0s",
            "RESULT k kprobe c FAILED 2s lost 3",
        ] {
            tally.count(&Line::parse(line).unwrap());
        }
        assert_eq!(tally.to_string(), "1 passed, 2 failed, 1 skipped");
        assert_eq!(tally.total(), 4);
        let mut total = Tally::default();
        total.add(&tally);
        assert_eq!(total.failures.len(), 2);
        assert!(total.failures[1].ends_with("2s  lost 3"), "{total:?}");
    }
}
