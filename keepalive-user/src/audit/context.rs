//! What the rules look at: the sockets whose settings are known, facts of the host, and what the user asked for.

use std::collections::{HashMap, HashSet};

use super::{
    path::Hop,
    plan::{Plan, Wanted},
};
use crate::{
    event::State,
    snapshot::{Namespace, Origin, Row, Snapshot},
};

/// What the user asked the audit to compare the sockets with.
#[derive(Clone, Debug)]
pub struct Yardstick {
    /// The path and the time within which a dead peer is to be noticed.
    pub wanted: Wanted,
    /// A connection whose peer was silent for at least this long counts as idle for long, in milliseconds (`--idle`).
    pub idle_ms: u64,
}

/// Facts of this host that its sockets do not tell.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// The sysctls of the namespace that katrace runs in; `None` where they cannot be read.
    pub own: Option<Namespace>,
    /// Timeouts that were read from the kernel, in milliseconds, by name of the hop and inode of the network namespace.
    pub live: HashMap<(String, u32), u64>,
}

/// The settings that act on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Effective {
    pub keepalive: bool,
    pub idle_ms: u64,
    pub intvl_ms: u64,
    pub cnt: u32,
    /// 0 = unset.
    pub user_timeout_ms: u32,
}

impl Effective {
    /// `None` if one of them is not known.
    pub fn of(row: &Row) -> Option<Self> {
        Some(Self {
            keepalive: row.keepalive?,
            idle_ms: row.keepidle_ms?.value,
            intvl_ms: row.keepintvl_ms?.value,
            cnt: row.keepcnt?.value,
            user_timeout_ms: row.user_timeout_ms?.value,
        })
    }
}

/// A socket under judgement.
#[derive(Clone, Copy, Debug)]
pub struct Socket<'a> {
    pub row: &'a Row,
    pub set: Effective,
}

impl Socket<'_> {
    /// An established connection to another host. A connection within this host has no path that can fail, and this
    /// kernel knows when its peer ends.
    pub fn is_connection(&self) -> bool {
        self.row.state == State::Established && !self.is_local()
    }

    pub fn is_listener(&self) -> bool {
        self.row.state == State::Listen
    }

    /// Both ends are on this host; for a listener: no other host can reach it.
    pub fn is_local(&self) -> bool {
        let (ours, theirs) = (self.row.laddr.to_canonical(), self.row.raddr.to_canonical());
        ours.is_loopback() || theirs.is_loopback() || (ours == theirs && !ours.is_unspecified())
    }

    /// At least one of the three values that have a sysctl is the kernel's own default.
    pub fn inherits_default(&self) -> bool {
        let row = self.row;
        let from = [
            row.keepidle_ms.map(|set| set.from),
            row.keepintvl_ms.map(|set| set.from),
            row.keepcnt.map(|set| set.from),
        ];
        from.contains(&Some(Origin::Default))
    }
}

/// Everything that the rules look at.
#[derive(Debug)]
pub struct Context<'a> {
    pub sockets: Vec<Socket<'a>>,
    /// How many sockets are not judged, because a setting could not be read.
    pub unknown: usize,
    pub namespaces: &'a [Namespace],
    pub host: &'a HostFacts,
    pub yardstick: &'a Yardstick,
    /// The plan that fixes recommend: it satisfies the yardstick.
    pub target: Plan,
    /// Network namespaces and ports of listeners.
    listening: HashSet<(u32, u16)>,
}

impl<'a> Context<'a> {
    pub fn new(
        snapshot: &'a Snapshot,
        host: &'a HostFacts,
        yardstick: &'a Yardstick,
        target: Plan,
    ) -> Self {
        let sockets: Vec<Socket<'a>> = snapshot
            .rows
            .iter()
            .filter_map(|row| {
                let set = Effective::of(row)?;
                Some(Socket { row, set })
            })
            .collect();
        let listeners = snapshot
            .rows
            .iter()
            .filter(|row| row.state == State::Listen);
        Self {
            unknown: snapshot.rows.len() - sockets.len(),
            sockets,
            namespaces: &snapshot.namespaces,
            host,
            yardstick,
            target,
            listening: listeners.map(|row| (row.netns, row.lport)).collect(),
        }
    }

    /// Whether this host is the server of the connection: a process listens on its port.
    pub fn is_served(&self, row: &Row) -> bool {
        self.listening.contains(&(row.netns, row.lport))
    }

    /// The timeout of a hop for connections of this namespace, in milliseconds: the kernel's value where it was read.
    pub fn timeout_ms(&self, hop: &Hop, netns: u32) -> u64 {
        let live = self.host.live.get(&(hop.name.clone(), netns));
        live.copied().unwrap_or(hop.timeout_ms)
    }

    /// The hop with the shortest timeout (milliseconds) among those that `which` accepts.
    pub fn tightest(&self, netns: u32, which: impl Fn(&Hop) -> bool) -> Option<(&'a Hop, u64)> {
        let hops = self.yardstick.wanted.hops.iter().filter(|hop| which(hop));
        hops.map(|hop| (hop, self.timeout_ms(hop, netns)))
            .min_by_key(|(_, timeout_ms)| *timeout_ms)
    }
}
