//! The kernel's own counters, with which katrace's events are compared.

use std::{fmt, fs, ops::AddAssign};

use anyhow::{Context, Result};

use super::Netns;

/// Counts since the namespace was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `TcpExtTCPKeepAlive`: probes built.
    pub keepalive: u64,
    /// `TcpExtTCPAbortOnTimeout`: connections given up, whatever the cause.
    pub aborts: u64,
}

impl Counters {
    pub fn of(netns: &Netns) -> Result<Self> {
        let text = netstat(netns)?;
        Ok(Self {
            keepalive: counter(&text, "TcpExt", "TCPKeepAlive")?,
            aborts: counter(&text, "TcpExt", "TCPAbortOnTimeout")?,
        })
    }

    pub fn since(self, base: Self) -> Self {
        Self {
            keepalive: self.keepalive.saturating_sub(base.keepalive),
            aborts: self.aborts.saturating_sub(base.aborts),
        }
    }

    pub fn total(self) -> u64 {
        self.keepalive + self.aborts
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.keepalive += other.keepalive;
        self.aborts += other.aborts;
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keepalive, aborts } = self;
        write!(f, "{keepalive} probes and {aborts} timeouts")
    }
}

/// Any other counter of a namespace, as `/proc/net/netstat` groups and names it.
///
/// # Errors
///
/// The file cannot be read or has no such counter.
pub fn named(netns: &Netns, group: &str, name: &str) -> Result<u64> {
    counter(&netstat(netns)?, group, name)
}

fn netstat(netns: &Netns) -> Result<String> {
    netns.within(|| fs::read_to_string("/proc/thread-self/net/netstat").context("read net/netstat"))
}

/// The file pairs a line of names with a line of values.
fn counter(text: &str, group: &str, name: &str) -> Result<u64> {
    let of_group = |line: &str| line.split_once(':').map(|(before, _)| before) == Some(group);
    let mut lines = text.lines().filter(|line| of_group(line));
    let (names, values) = lines
        .next()
        .zip(lines.next())
        .with_context(|| format!("no {group} in net/netstat"))?;
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find(|(found, _)| *found == name)
        .with_context(|| format!("this kernel has no {group}{name}"))?
        .1
        .parse()
        .with_context(|| format!("{group}{name} is no number"))
}

#[cfg(test)]
mod tests {
    use super::counter;

    const TEXT: &str =
        "TcpExt: TCPTimeouts TCPKeepAlive\nTcpExt: 4 7\nIpExt: InNoRoutes\nIpExt: 1\n";

    #[test]
    fn a_counter_is_found_by_its_name() {
        assert_eq!(counter(TEXT, "TcpExt", "TCPKeepAlive").unwrap(), 7);
        assert_eq!(counter(TEXT, "IpExt", "InNoRoutes").unwrap(), 1);
    }

    #[test]
    fn an_absent_counter_is_named() {
        let error = counter(TEXT, "TcpExt", "TCPAbortOnTimeout")
            .unwrap_err()
            .to_string();
        assert!(error.contains("TcpExtTCPAbortOnTimeout"), "{error}");
    }
}
