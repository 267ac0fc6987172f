//! What the audit reports: findings, and the sockets that each is about.

use std::net::SocketAddr;

use super::rule::{Rule, Severity};
use crate::event::Process;

/// One thing that is wrong, for all sockets of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: Rule,
    /// How much it matters here.
    pub severity: Severity,
    /// `None` where no process is known, or where several processes of one name share the finding.
    pub pid: Option<u32>,
    /// The process's name as the kernel has it: it may hold control characters.
    pub comm: Option<String>,
    /// How many sockets it is about.
    pub sockets: usize,
    /// The numbers that prove it.
    pub evidence: Evidence,
    /// Why it hurts, in one sentence.
    pub why: String,
    /// Lines to paste: settings of the application where it is recognised, else socket options or sysctls.
    pub fix: Vec<String>,
    /// Up to three of the sockets.
    pub examples: Vec<Example>,
}

/// The ends of one socket, and its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// This host's end.
    pub local: SocketAddr,
    /// The peer's end; unspecified for a listener.
    pub remote: SocketAddr,
    /// Inode of the network namespace.
    pub netns: u32,
    /// `None` where no process is known to hold it.
    pub process: Option<Process>,
}

/// Named numbers, in the order in which they were added. A name ends with its unit; `None` = never.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence(pub Vec<(&'static str, Option<f64>)>);

impl Evidence {
    /// Adds a number.
    pub fn with(mut self, name: &'static str, value: impl Into<Option<u64>>) -> Self {
        // Milliseconds and counts stay far below 2^53, so the float is exact.
        self.0.push((name, value.into().map(|value| value as f64)));
        self
    }

    /// Adds a number that is not whole, rounded to one decimal.
    pub fn with_rate(mut self, name: &'static str, value: f64) -> Self {
        self.0.push((name, Some((value * 10.0).round() / 10.0)));
        self
    }
}

/// The findings of one run, and what they were derived from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// The most dangerous first.
    pub findings: Vec<Finding>,
    /// How many sockets were judged.
    pub sockets: usize,
    /// How many sockets were not judged, because a setting could not be read.
    pub unknown: usize,
    /// What could not be read, one sentence each.
    pub missing: Vec<String>,
}

impl Verdict {
    /// How many findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings.filter(|one| one.severity == severity).count()
    }

    /// Whether any finding has this severity or a worse one.
    pub fn reaches(&self, severity: Severity) -> bool {
        self.findings.iter().any(|one| one.severity >= severity)
    }
}
