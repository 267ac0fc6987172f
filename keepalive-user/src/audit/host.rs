//! What the kernel itself says where katrace runs, and in the namespaces of its sockets.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{
    context::HostFacts,
    path::{Hop, Live},
};
use crate::snapshot::{Namespace, Snapshot};

/// Established connections, in seconds (kernel documentation, nf_conntrack-sysctl).
const CONNTRACK: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established";

/// Reads the facts that these hops ask for. What cannot be read is said in `missing`, a sentence
/// each, and the profile's default stands.
pub fn read(snapshot: &Snapshot, hops: &[Hop], missing: &mut Vec<String>) -> HostFacts {
    let mut facts = HostFacts {
        own: own(),
        live: Default::default(),
    };
    if facts.own.is_none() {
        missing.push("the sysctls of katrace's own network namespace cannot be read".to_owned());
    }
    for hop in hops {
        let Some(live) = hop.live else { continue };
        for netns in snapshot.namespaces.iter().map(|known| known.netns) {
            let own = facts.own.is_some_and(|own| own.netns == netns);
            match timeout_ms(live, snapshot, netns, own) {
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

/// The namespace that katrace runs in, whether it has sockets or not.
fn own() -> Option<Namespace> {
    let sysctl = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/tcp_{name}")).ok()?;
        text.trim().parse().ok()
    };
    Some(Namespace {
        netns: u32::try_from(fs::metadata("/proc/self/ns/net").ok()?.ino()).ok()?,
        keepidle_ms: sysctl("keepalive_time")?.saturating_mul(1000),
        keepintvl_ms: sysctl("keepalive_intvl")?.saturating_mul(1000),
        keepcnt: u32::try_from(sysctl("keepalive_probes")?).ok()?,
        retries2: u32::try_from(sysctl("retries2")?).ok()?,
        own: true,
    })
}

fn timeout_ms(live: Live, snapshot: &Snapshot, netns: u32, own: bool) -> Result<u64, String> {
    match live {
        Live::NfConntrack if own => conntrack_ms(),
        Live::NfConntrack => within(&namespace(snapshot, netns)?, conntrack_ms),
        Live::Ipvs => Err("this version does not ask IPVS for its timeouts".to_owned()),
    }
}

/// The value of the namespace that the calling thread is in.
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

/// A namespace's file, through any process that holds one of its sockets and is in it.
fn namespace(snapshot: &Snapshot, netns: u32) -> Result<File, String> {
    snapshot
        .rows
        .iter()
        .filter(|row| row.netns == netns)
        .flat_map(|row| &row.owner.holders)
        .find_map(|holder| {
            let file = File::open(format!("/proc/{}/ns/net", holder.process.pid)).ok()?;
            let inode = file.metadata().ok()?.ino();
            (inode == u64::from(netns)).then_some(file)
        })
        .ok_or_else(|| "no process of it is known, so it cannot be entered".to_owned())
}

/// Runs `work` on a thread of its own inside a network namespace; this thread stays where it is.
fn within<T: Send>(
    netns: &File,
    work: impl FnOnce() -> Result<T, String> + Send,
) -> Result<T, String> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|errno| format!("it cannot be entered: {errno}"))?;
            work()
        });
        inside
            .join()
            .unwrap_or_else(|_| Err("the thread that entered it ended early".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_has_sysctls_above_zero() {
        let own = own().unwrap();
        assert!(own.keepidle_ms >= 1000 && own.keepintvl_ms >= 1000 && own.keepcnt >= 1);
        assert!(own.own && own.netns > 0);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_what_stands_for_it() {
        let hop = Hop {
            live: Some(Live::Ipvs),
            ..Hop::of_timeout("ipvs", 900_000)
        };
        let snapshot = Snapshot {
            rows: Vec::new(),
            namespaces: vec![own().unwrap()],
        };
        let mut missing = Vec::new();
        let facts = read(&snapshot, &[hop], &mut missing);
        assert!(facts.live.is_empty());
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains("900 s stands for it"), "{missing:?}");
    }
}
