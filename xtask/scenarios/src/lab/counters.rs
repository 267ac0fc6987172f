//! The kernel's own account, against which every event is counted.

use std::fs;

use anyhow::{Context, Result};

use super::Netns;

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
            keepalive: tcp_ext(&text, "TCPKeepAlive")?,
            aborts: tcp_ext(&text, "TCPAbortOnTimeout")?,
        })
    }

    pub fn since(self, base: Self) -> Self {
        Self {
            keepalive: self.keepalive.saturating_sub(base.keepalive),
            aborts: self.aborts.saturating_sub(base.aborts),
        }
    }
}

/// One other `TcpExt` counter of a namespace.
pub fn named(netns: &Netns, name: &str) -> Result<u64> {
    tcp_ext(&netstat(netns)?, name)
}

fn netstat(netns: &Netns) -> Result<String> {
    netns.within(|| fs::read_to_string("/proc/thread-self/net/netstat").context("read net/netstat"))
}

/// The file pairs a line of names with a line of values.
fn tcp_ext(text: &str, name: &str) -> Result<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = lines
        .next()
        .zip(lines.next())
        .context("no TcpExt in net/netstat")?;
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find(|(found, _)| *found == name)
        .with_context(|| format!("this kernel has no TcpExt{name}"))?
        .1
        .parse()
        .with_context(|| format!("TcpExt{name} is no number"))
}

#[cfg(test)]
mod tests {
    use super::tcp_ext;

    const TEXT: &str =
        "TcpExt: TCPTimeouts TCPKeepAlive\nTcpExt: 4 7\nIpExt: InNoRoutes\nIpExt: 1\n";

    #[test]
    fn a_counter_is_found_by_its_name() {
        assert_eq!(tcp_ext(TEXT, "TCPKeepAlive").unwrap(), 7);
    }

    #[test]
    fn an_absent_counter_is_named() {
        let error = tcp_ext(TEXT, "TCPAbortOnTimeout").unwrap_err().to_string();
        assert!(error.contains("TcpExtTCPAbortOnTimeout"), "{error}");
    }
}
