//! The cost of one tool that watches one load for some time.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    Bench,
    load::Load,
    subject::{Said, Subject, Tool, Used, settle},
};
use crate::lab::Counters;

/// What was used between two readings, and the number of events.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Probes by the kernel's count.
    pub probes: u64,
    /// From the first probe to the last.
    pub seconds: f64,
    /// Run time of the tool's programs in the kernel.
    pub kernel_ns: u64,
    pub runs: u64,
    pub skipped: u64,
    /// User and system time of its process.
    pub cpu_ns: u64,
    /// The most bytes that were resident at any time.
    pub peak: u64,
    /// Events that arrived, and in the next field events that were lost, if the tool reports them.
    pub events: Option<u64>,
    pub lost: u64,
    /// What the tool itself printed about its counts.
    pub account: String,
}

impl Sample {
    pub fn kernel_per_probe(&self) -> f64 {
        self.kernel_ns as f64 / self.probes.max(1) as f64
    }

    /// User and system time for an event that it delivered.
    pub fn cpu_per_event(&self) -> f64 {
        self.cpu_ns as f64 / self.events.unwrap_or(self.probes).max(1) as f64
    }

    pub fn rate(&self) -> f64 {
        self.probes as f64 / self.seconds
    }
}

/// Has `tool` watch every socket probe once in `period` seconds, for `lasting` beyond the first
/// round. `None` where the tool cannot be had.
pub fn watch(
    bench: &Bench,
    load: &mut Load,
    tool: Tool,
    period: u32,
    lasting: Duration,
) -> Result<Option<Sample>> {
    if !tool.available(bench) {
        return Ok(None);
    }
    let subject = Subject::start(bench, tool)?;
    let counters = Counters::of(&load.pair.ours)?;
    let before = subject.as_ref().map(Subject::used).transpose()?;
    let began = Instant::now();
    load.begin(period)?;
    sleep(lasting);
    load.end()?;
    let seconds = began.elapsed().as_secs_f64();
    settle();
    let after = subject.as_ref().map(Subject::used).transpose()?;
    let said = subject.map(Subject::stop).transpose()?;
    let mut sample = Sample {
        probes: Counters::of(&load.pair.ours)?.since(counters).keepalive,
        seconds,
        ..Sample::default()
    };
    ensure!(sample.probes > 0, "{} sockets sent no probe", load.sockets);
    if let (Some(before), Some(after), Some(said)) = (before, after, said) {
        sample.add(before, after);
        sample.judge(tool, &said)?;
    }
    Ok(Some(sample))
}

impl Sample {
    pub fn add(&mut self, before: Used, after: Used) {
        self.kernel_ns = after.programs.ns - before.programs.ns;
        self.runs = after.programs.runs - before.programs.runs;
        self.skipped = after.skipped - before.skipped;
        self.cpu_ns = (after.cpu - before.cpu).as_nanos() as u64;
        self.peak = after.peak;
    }

    /// What arrived and what was lost, by the tool's own words; katrace's must add up.
    fn judge(&mut self, tool: Tool, said: &Said) -> Result<()> {
        match tool {
            Tool::Nothing => {}
            Tool::Floor(_) => {
                let records: u64 = said.stdout.trim().parse().with_context(|| {
                    format!("the floor said {:?} {:?}", said.stdout, said.stderr)
                })?;
                ensure!(
                    records <= self.runs && self.runs >= self.probes,
                    "the floor ran {} times, {records} records came, {} probes were sent",
                    self.runs,
                    self.probes
                );
                self.events = Some(records);
                self.lost = self.runs - records;
            }
            Tool::Bpftrace(_) | Tool::BpftraceCounted(_) => {
                let told = bpftrace_lost(&said.stderr);
                let events = said.lines.unwrap_or(self.runs.saturating_sub(told));
                self.lost = self.runs.saturating_sub(events);
                self.events = Some(events);
            }
            Tool::Katrace(_, args) => {
                let account = account(&said.stderr)?;
                let events = number_before(account, "events")
                    .with_context(|| format!("no number of events in: {account}"))?;
                self.lost = number_before(account, "lost")
                    .with_context(|| format!("no number of lost records in: {account}"))?;
                self.account = account.to_owned();
                self.events = Some(events);
                // With a filter that rejects everything, nothing may arrive.
                let due = if args.contains(&NOTHING_PASSES) {
                    0
                } else {
                    self.probes
                };
                ensure!(
                    events + self.lost == due,
                    "kernel {} probes, {due} of them for katrace, which counted {events} + {} lost; \
                     {} runs of its programs skipped by the kernel",
                    self.probes,
                    self.lost,
                    self.skipped
                );
            }
        }
        Ok(())
    }
}

/// A local port that no socket of the bench has.
pub const NOTHING_PASSES: &str = "--lport=1";

/// The last line of `--stats`: the whole run's.
fn account(stderr: &str) -> Result<&str> {
    let mut lines = stderr.lines().rev();
    lines
        .find(|line| line.starts_with("katrace: stats: "))
        .with_context(|| format!("no account of katrace's own cost in: {stderr}"))
}

/// The number that stands before a word.
pub fn number_before(line: &str, word: &str) -> Option<u64> {
    let mut before = "";
    for part in line.split([' ', ',', ';']).filter(|part| !part.is_empty()) {
        if part == word {
            return before.parse().ok();
        }
        before = part;
    }
    None
}

/// bpftrace says `Lost 12 events` each time.
fn bpftrace_lost(stderr: &str) -> u64 {
    let losses = stderr.lines().filter(|line| line.contains("ost "));
    losses
        .filter_map(|line| number_before(line, "events"))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_their_words() {
        let line = "katrace: stats: 20000 events, 7 lost; kernel 2310 ns an event";
        assert_eq!(number_before(line, "events"), Some(20_000));
        assert_eq!(number_before(line, "lost"), Some(7));
        assert_eq!(number_before(line, "records"), None);
    }

    #[test]
    fn the_last_account_is_the_runs() {
        let text = "banner\nkatrace: stats: 1 events, 0 lost\nkatrace: stats: 3 events, 0 lost\n\n3 probes\n";
        assert_eq!(number_before(account(text).unwrap(), "events"), Some(3));
        assert!(account("nothing of the kind").is_err());
    }

    #[test]
    fn losses_of_bpftrace_add_up() {
        assert_eq!(
            bpftrace_lost("Lost 12 events\nWARNING: Lost 3 events\n"),
            15
        );
        assert_eq!(bpftrace_lost("Attaching 1 probe...\n"), 0);
    }
}
