//! What the kernel tells of its own timeouts, in katrace's network namespace and in those of the sockets.

use std::{collections::HashMap, fs, io};

use super::{
    context::HostFacts,
    ipvs,
    path::{Hop, Live},
};
use crate::snapshot::{
    Namespace, Snapshot,
    namespaces::{self, Netns},
};

/// Timeout of established connections, in seconds (kernel documentation, nf_conntrack-sysctl).
const CONNTRACK: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established";

/// Reads the timeouts of the hops that are part of this kernel. For each that cannot be read, `missing` gets a
/// sentence, and the profile's default is used.
pub fn read(snapshot: &Snapshot, hops: &[Hop], missing: &mut Vec<String>) -> HostFacts {
    let found = namespaces::all();
    let mut facts = HostFacts {
        own: own(&found),
        live: HashMap::new(),
    };
    if facts.own.is_none() {
        missing.push("the sysctls of katrace's own network namespace cannot be read".to_owned());
    }
    for hop in hops {
        let Some(live) = hop.live else { continue };
        for netns in snapshot.namespaces.iter().map(|read| read.netns) {
            let there = found.iter().find(|found| found.netns == netns);
            match timeout_ms(live, there) {
                Ok(ms) => {
                    facts.live.insert((hop.name.clone(), netns), ms);
                }
                Err(why) => missing.push(format!(
                    "{} in network namespace {netns}: {why}; {} s stands for it",
                    hop.name,
                    hop.timeout_ms / 1000
                )),
            }
        }
    }
    facts
}

/// The settings of the namespace that katrace runs in, which may have no sockets.
fn own(found: &[Netns]) -> Option<Namespace> {
    let own = found.iter().find(|found| found.own)?;
    Some(own.defaults().ok()?.namespace)
}

/// The text of an error is the end of a sentence.
fn timeout_ms(live: Live, netns: Option<&Netns>) -> Result<u64, String> {
    let ask = match live {
        Live::NfConntrack => conntrack_ms,
        Live::Ipvs => ipvs::timeout_ms,
    };
    netns
        .and_then(|netns| netns.within(|| Ok(ask())).transpose())
        .unwrap_or_else(|| Ok(Err("it is gone".to_owned())))
        .unwrap_or_else(|error| Err(error.to_string()))
}

/// In milliseconds, of the calling thread's namespace.
fn conntrack_ms() -> Result<u64, String> {
    let text = fs::read_to_string(CONNTRACK).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "no connection tracking there (nf_conntrack)".to_owned(),
        _ => format!("{CONNTRACK}: {error}"),
    })?;
    let seconds: u64 = text
        .trim()
        .parse()
        .map_err(|_| format!("{CONNTRACK} holds no number"))?;
    Ok(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_has_sysctls_above_zero() {
        let own = own(&namespaces::all()).unwrap();
        assert!(own.keepidle_ms >= 1000 && own.keepintvl_ms >= 1000 && own.keepcnt >= 1);
        assert!(own.own && own.netns > 0);
    }

    #[test]
    fn a_timeout_that_cannot_be_read_is_said_with_the_default() {
        let hop = Hop {
            live: Some(Live::Ipvs),
            ..Hop::of_timeout("ipvs", 900_000)
        };
        // No namespace has this inode.
        let gone = Namespace {
            netns: 1,
            ..own(&namespaces::all()).unwrap()
        };
        let snapshot = Snapshot {
            rows: Vec::new(),
            namespaces: vec![gone],
        };
        let mut missing = Vec::new();
        let facts = read(&snapshot, &[hop], &mut missing);
        assert!(facts.live.is_empty());
        assert_eq!(missing.len(), 1);
        assert!(
            missing[0].contains("it is gone; 900 s stands for it"),
            "{missing:?}"
        );
    }
}
