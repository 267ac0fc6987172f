//! Which sockets make one finding: the 400 connections of a connection pool are one finding, not 400.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    net::IpAddr,
    sync::Arc,
};

use super::{
    context::{Context, Effective, Socket},
    finding::Example,
    path::Hop,
    rule::Severity,
};
use crate::event::Process;

/// Sockets shown with a finding.
const EXAMPLES: usize = 3;

/// What a rule finds wrong with one socket.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'a> {
    pub severity: Severity,
    /// The hop where it fails, and that hop's timeout in milliseconds.
    pub hop: Option<(&'a Hop, u64)>,
}

/// Sockets with which a rule finds the same thing wrong. Never empty.
#[derive(Debug)]
pub struct Group<'a> {
    pub first: Socket<'a>,
    pub rest: Vec<Socket<'a>>,
    pub hit: Hit<'a>,
}

/// What the sockets of one group have in common. As a client: one process, one port of one peer. As a server: one port
/// and one name of processes, because a server that forks has a process for each connection. In both: the settings.
#[derive(PartialEq, Eq, Hash)]
struct Pool<'a> {
    netns: u32,
    comm: Option<Arc<str>>,
    pid: Option<u32>,
    end: End,
    set: Effective,
    severity: Severity,
    hop: Option<&'a str>,
}

#[derive(PartialEq, Eq, Hash)]
enum End {
    Served(u16),
    Peer(IpAddr, u16),
}

/// The sockets with which `judge` finds something wrong, by pool. Pools are in the order of their first socket.
pub fn by_pool<'a>(
    context: &Context<'a>,
    judge: impl Fn(&Socket<'a>) -> Option<Hit<'a>>,
) -> Vec<Group<'a>> {
    gather(context.sockets.iter().filter_map(|socket| {
        let hit = judge(socket)?;
        let row = socket.row;
        let served = socket.is_listener() || context.is_served(row);
        let process = row.owner.process.as_ref();
        let pool = Pool {
            netns: row.netns,
            comm: process.map(|process| process.comm.clone()),
            pid: process.filter(|_| !served).map(|process| process.pid),
            end: if served {
                End::Served(row.lport)
            } else {
                End::Peer(row.raddr, row.rport)
            },
            set: socket.set,
            severity: hit.severity,
            hop: hit.hop.map(|(hop, _)| hop.name.as_str()),
        };
        Some((pool, *socket, hit))
    }))
}

/// Groups by a key. Groups are in the order of their first socket.
pub fn gather<'a, K: Eq + Hash>(
    hits: impl Iterator<Item = (K, Socket<'a>, Hit<'a>)>,
) -> Vec<Group<'a>> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (key, socket, hit) in hits {
        let next = groups.len();
        match groups.get_mut(*places.entry(key).or_insert(next)) {
            Some(group) => group.rest.push(socket),
            None => groups.push(Group {
                first: socket,
                rest: Vec::new(),
                hit,
            }),
        }
    }
    groups
}

impl<'a> Group<'a> {
    pub fn sockets(&self) -> impl Iterator<Item = &Socket<'a>> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    pub fn len(&self) -> usize {
        1 + self.rest.len()
    }

    /// The pid, if the same process holds all of them.
    pub fn pid(&self) -> Option<u32> {
        let pid = |socket: &Socket<'_>| socket.row.owner.process.as_ref().map(|one| one.pid);
        let first = pid(&self.first)?;
        self.rest
            .iter()
            .all(|socket| pid(socket) == Some(first))
            .then_some(first)
    }

    /// How many processes share the finding, as evidence; `None` where it is one.
    pub fn processes(&self) -> Option<(&'static str, Option<f64>)> {
        let pids: HashSet<u32> = self
            .sockets()
            .filter_map(|socket| socket.row.owner.process.as_ref())
            .map(|process| process.pid)
            .collect();
        (pids.len() > 1).then_some(("processes", Some(pids.len() as f64)))
    }

    /// The first process that is known to hold one of them.
    pub fn process(&self) -> Option<&Process> {
        self.sockets()
            .find_map(|socket| socket.row.owner.process.as_ref())
    }

    /// The largest of a number, over the sockets that have it.
    pub fn most(&self, of: impl Fn(&Socket<'a>) -> Option<u64>) -> Option<u64> {
        self.sockets().filter_map(of).max()
    }

    /// The smallest of a number, over the sockets that have it.
    pub fn least(&self, of: impl Fn(&Socket<'a>) -> Option<u64>) -> Option<u64> {
        self.sockets().filter_map(of).min()
    }

    /// The first sockets, to show.
    pub fn examples(&self) -> Vec<Example> {
        let example = |socket: &Socket<'_>| {
            let row = socket.row;
            Example {
                local: (row.laddr, row.lport).into(),
                remote: (row.raddr, row.rport).into(),
                netns: row.netns,
                process: row.owner.process.clone(),
            }
        };
        self.sockets().take(EXAMPLES).map(example).collect()
    }
}
