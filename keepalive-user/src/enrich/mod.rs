//! Sockets to processes.
//!
//! The kernel half knows who connected, accepted or closed; descriptor tables know who holds. A
//! pass over all descriptors serves every unknown socket at once, and its rate is bounded by what it
//! costs. docs/architecture.md has the rules in a table.

mod directory;
mod proc;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use self::table::{Known, Table};
pub use self::{directory::Directory, proc::pids};
use crate::{
    decode::{Act, Decoded, Evidence},
    event::{Holder, Owner, OwnerFrom, Process, SocketEvent},
    settings::Filters,
};

/// Passes are at least this far apart, however urgent.
const PASS_GAP: Duration = Duration::from_millis(250);
/// And at least this many times their own duration: a pass may take a twentieth of one CPU.
const PASS_COST: u32 = 20;
/// What descriptor tables said is believed this long,
const FRESH: Duration = Duration::from_secs(30);
/// or this many times a pass's duration.
const FRESH_COST: u32 = 200;
/// One process's descriptors are read again no sooner than this.
const PROCESS_GAP: Duration = Duration::from_millis(200);
/// What is remembered beside the table before a pass clears it.
const OWNERS: usize = 65_536;

/// What became of an event.
#[derive(Debug)]
pub enum Outcome {
    /// It has its owner, as far as that can be known.
    Event(SocketEvent),
    /// `--pid` or `--comm` does not want it.
    Unwanted,
    /// Its socket is unknown, and the next pass may run only at this moment.
    Wait(Decoded, Instant),
}

/// Names the owners of sockets.
pub struct Enricher {
    pids: Vec<u32>,
    comms: Option<crate::settings::CommGlobs>,
    table: Table,
    /// Descriptors of processes read one by one since the last pass.
    recent: Table,
    /// Owners already worked out, by inode; gone with the next pass.
    owners: HashMap<u64, Arc<Owner>>,
    /// When those processes were read.
    read: HashMap<u32, Instant>,
    /// Sockets that no descriptor showed in the last pass.
    absent: HashSet<u64>,
    passed: Option<Instant>,
    cost: Duration,
}

impl Enricher {
    pub fn new(filters: &Filters) -> Self {
        Self {
            pids: filters.pids.clone(),
            comms: filters.comms.clone(),
            table: Table::default(),
            recent: Table::default(),
            owners: HashMap::new(),
            read: HashMap::new(),
            absent: HashSet::new(),
            passed: None,
            cost: Duration::ZERO,
        }
    }

    /// Reads the descriptors of every process.
    pub fn pass(&mut self) {
        let began = Instant::now();
        self.table = Table::of_all_processes();
        self.recent = Table::default();
        self.owners.clear();
        self.read.clear();
        let ended = Instant::now();
        self.cost = ended - began;
        self.passed = Some(ended);
    }

    /// Finds the event's owner.
    pub fn enrich(&mut self, decoded: Decoded) -> Outcome {
        let owner = match self.owner(&decoded) {
            Ok(owner) => owner,
            Err(next) => return Outcome::Wait(decoded, next),
        };
        self.deliver(decoded, owner)
    }

    /// Finds the event's owner from what is known by now, without waiting for more.
    pub fn enrich_now(&mut self, decoded: Decoded) -> Outcome {
        let owner = match self.owner(&decoded) {
            Ok(owner) => owner,
            Err(_) => Arc::new(by_evidence(decoded.evidence.as_ref())),
        };
        self.deliver(decoded, owner)
    }

    fn deliver(&self, decoded: Decoded, owner: Arc<Owner>) -> Outcome {
        if !self.wants(&owner) {
            return Outcome::Unwanted;
        }
        let Decoded {
            time, socket, kind, ..
        } = decoded;
        Outcome::Event(SocketEvent {
            time,
            socket,
            owner,
            kind,
        })
    }

    fn wants(&self, owner: &Owner) -> bool {
        let any = |test: &dyn Fn(&Process) -> bool| {
            owner
                .process
                .iter()
                .chain(owner.holders.iter().map(|holder| &holder.process))
                .any(test)
        };
        (self.pids.is_empty() || any(&|process| self.pids.contains(&process.pid)))
            && self
                .comms
                .as_ref()
                .is_none_or(|globs| any(&|process| globs.is_match(&process.comm)))
    }

    /// The owner, or when the next pass may tell.
    fn owner(&mut self, decoded: &Decoded) -> Result<Arc<Owner>, Instant> {
        if decoded.orphan {
            return Ok(Arc::new(self.last_owner(decoded)));
        }
        // Not accepted yet: no process has it.
        let Some(inode) = decoded.socket.inode else {
            return Ok(Arc::default());
        };
        self.refresh();
        if let Some(owner) = self.owners.get(&inode) {
            return Ok(owner.clone());
        }
        let evidence = decoded.evidence.as_ref();
        if let Some(owner) = self.look_up(inode, evidence) {
            return Ok(owner);
        }
        if let Some(evidence) = evidence
            && self.read_process(evidence.pid)
            && let Some(owner) = self.look_up(inode, Some(evidence))
        {
            return Ok(owner);
        }
        if self.absent.contains(&inode) {
            return Ok(Arc::new(by_evidence(evidence)));
        }
        let next = self.next_pass();
        if Instant::now() < next {
            return Err(next);
        }
        self.pass();
        Ok(self.look_up(inode, evidence).unwrap_or_else(|| {
            self.absent.insert(inode);
            Arc::new(by_evidence(evidence))
        }))
    }

    /// Descriptors move between processes unseen, so what they said is believed for a while only.
    fn refresh(&mut self) {
        let fresh = FRESH.max(self.cost * FRESH_COST);
        let stale = self.passed.is_none_or(|passed| passed.elapsed() > fresh);
        if stale || self.owners.len().max(self.recent.len()) >= OWNERS {
            self.absent.clear();
            self.pass();
        }
    }

    fn next_pass(&self) -> Instant {
        match self.passed {
            Some(passed) => passed + PASS_GAP.max(self.cost * PASS_COST),
            None => Instant::now(),
        }
    }

    fn holders(&self, inode: u64) -> impl Iterator<Item = (&Known, u32)> {
        self.table.holders(inode).chain(self.recent.holders(inode))
    }

    /// The holders that descriptor tables show.
    fn look_up(&mut self, inode: u64, evidence: Option<&Evidence>) -> Option<Arc<Owner>> {
        let mut known: Vec<(&Known, u32)> = self.holders(inode).collect();
        // A process read again stands in both tables.
        known.sort_unstable_by_key(|(known, fd)| (known.pid, *fd));
        known.dedup_by_key(|(known, fd)| (known.pid, *fd));
        // The one the kernel saw at work is the likeliest to be using it; else the lowest pid, which
        // of a family of processes is mostly the oldest.
        let actor = evidence
            .filter(|evidence| evidence.act != Act::Close)
            .and_then(|evidence| {
                known
                    .iter()
                    .find(|(known, _)| known.is(evidence))
                    .map(|(known, _)| (evidence.act, *known))
            });
        let (from, user) = match actor {
            Some((Act::Accept, known)) => (OwnerFrom::Accept, known),
            Some((_, known)) => (OwnerFrom::Connect, known),
            None => (OwnerFrom::Scan, known.first()?.0),
        };
        let owner = Arc::new(Owner {
            process: Some(user.process()),
            holders: known
                .iter()
                .map(|(known, fd)| Holder {
                    process: known.process(),
                    fd: Some(*fd),
                })
                .collect(),
            from: Some(from),
        });
        self.owners.insert(inode, owner.clone());
        Some(owner)
    }

    /// Reads one process's descriptors, unless that was just done.
    fn read_process(&mut self, pid: u32) -> bool {
        let now = Instant::now();
        if self
            .read
            .get(&pid)
            .is_some_and(|read| now - *read < PROCESS_GAP)
        {
            return false;
        }
        self.read.insert(pid, now);
        self.recent.read_process(pid)
    }

    /// Nobody holds it any more: the last that is known to have.
    fn last_owner(&self, decoded: &Decoded) -> Owner {
        let seen = decoded
            .socket
            .inode
            .and_then(|inode| self.holders(inode).next())
            .map(|(known, _)| known.process());
        let process = decoded.evidence.as_ref().map(process).or(seen);
        let from = process.as_ref().map(|_| OwnerFrom::Last);
        Owner {
            process,
            holders: Vec::new(),
            from,
        }
    }
}

/// The task that the kernel half saw, when no descriptor shows the socket: it exited meanwhile, or
/// hides its descriptors.
fn by_evidence(evidence: Option<&Evidence>) -> Owner {
    let Some(evidence) = evidence else {
        return Owner::default();
    };
    let process = process(evidence);
    let (from, holders) = match evidence.act {
        Act::Connect => (
            OwnerFrom::Connect,
            vec![Holder {
                process: process.clone(),
                fd: None,
            }],
        ),
        Act::Accept => (
            OwnerFrom::Accept,
            vec![Holder {
                process: process.clone(),
                fd: None,
            }],
        ),
        Act::Close => (OwnerFrom::Last, Vec::new()),
    };
    Owner {
        process: Some(process),
        holders,
        from: Some(from),
    }
}

fn process(evidence: &Evidence) -> Process {
    let name = evidence
        .comm
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    Process {
        pid: evidence.pid,
        comm: String::from_utf8_lossy(name).into(),
    }
}
