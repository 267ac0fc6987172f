//! What the audit tells: findings, with the sockets that each is about.

use std::net::SocketAddr;

use super::rule::{Rule, Severity};
use crate::event::Process;

/// One thing that is wrong, with every socket that it is wrong with.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub rule: Rule,
    pub severity: Severity,
    /// `None` where nobody is known, or where several processes of one name share the finding.
    pub pid: Option<u32>,
    /// As the kernel holds it; not safe for a terminal.
    pub comm: Option<String>,
    pub sockets: usize,
    pub evidence: Evidence,
    /// Why it hurts, in one sentence.
    pub why: String,
    /// Lines to paste: settings of the application where it is known, else socket options or sysctls.
    pub fix: Vec<String>,
    /// A few of the sockets.
    pub examples: Vec<Example>,
}

/// The ends of one socket, and whose it is.
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

/// Named numbers, in the order in which they were found. Names carry their units; `None` = never.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence(pub Vec<(&'static str, Option<f64>)>);

impl Evidence {
    /// One more number.
    pub fn with(mut self, name: &'static str, value: impl Into<Option<u64>>) -> Self {
        // Milliseconds and counts stay far below 2^53, so the float is exact.
        self.0.push((name, value.into().map(|value| value as f64)));
        self
    }

    /// One more number that is no whole one.
    pub fn with_rate(mut self, name: &'static str, value: f64) -> Self {
        self.0.push((name, Some((value * 10.0).round() / 10.0)));
        self
    }
}

/// The findings of one run, the most dangerous first, and what they were drawn from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    pub findings: Vec<Finding>,
    /// Sockets that were judged.
    pub sockets: usize,
    /// Sockets with a setting that could not be read, so not judged.
    pub unknown: usize,
    /// What could not be read, a sentence each.
    pub missing: Vec<String>,
}

impl Verdict {
    /// How many findings are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        let mut findings = self.findings.iter();
        findings
            .by_ref()
            .filter(|one| one.severity == severity)
            .count()
    }

    /// Whether any finding is at least as bad.
    pub fn reaches(&self, severity: Severity) -> bool {
        self.findings.iter().any(|one| one.severity >= severity)
    }
}
