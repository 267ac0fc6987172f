//! Who holds which socket, looked up once and believed until something speaks against it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::time::ClockId;

use super::{
    choose::{Before, Hints, choose},
    descriptors::{Descriptors, now_ns},
    proc,
    processes::{Known, Processes, Stamp},
};
use crate::{
    decode::{Act, Decoded, Notice},
    event::{Holder, Owner, OwnerFrom, Process, Time},
    source::ProcessTables,
};

/// What was found is looked at again after this long: a descriptor that is passed on while its sender
/// closes leaves the count as it was, and not every kernel and backend tells of it.
const FRESH: Duration = Duration::from_secs(10);
/// A death is worth a closer look.
const FRESH_AT_DEATH: Duration = Duration::from_millis(100);
/// So many of those who held a socket are read by themselves before everyone is.
const LIKELY: usize = 4;
/// Sockets remembered; past it everything is looked up anew.
const MOST: usize = 65_536;

/// What came of looking.
pub enum Found {
    Owner(Arc<Owner>),
    Nobody,
}

pub struct Holders {
    descriptors: Descriptors,
    processes: Processes,
    sockets: HashMap<u64, Entry>,
}

/// What was found of one socket.
struct Entry {
    /// `None`: nobody.
    owner: Option<Arc<Owner>>,
    before: Before,
    /// The counts of references that this accounts for: descriptors, and calls under way.
    refs: std::ops::RangeInclusive<u32>,
    /// Who acted, and who used it last, when this was found.
    actor: Option<(u32, Act)>,
    user: Option<u32>,
    stamp: Stamp,
    looked: Time,
}

impl Entry {
    fn is_valid(&self, decoded: &Decoded, processes: &Processes) -> bool {
        let fresh = if decoded.kind.death().is_some() {
            FRESH_AT_DEATH
        } else {
            FRESH
        };
        self.refs.contains(&decoded.refs)
            && self.actor == actor(decoded)
            && self.user == decoded.user
            && decoded.time.0 - self.looked.0 < fresh.as_nanos() as i128
            && self
                .before
                .holders
                .iter()
                .all(|(holder, _)| processes.is_unchanged(holder.pid, self.stamp))
    }
}

impl Holders {
    pub fn new(memory: Option<ProcessTables>) -> Self {
        Self {
            descriptors: Descriptors::new(memory),
            processes: Processes::default(),
            sockets: HashMap::new(),
        }
    }

    /// Reads the descriptors of every process, calling `each` for every descriptor.
    pub fn pass(&mut self, each: &mut dyn FnMut()) {
        self.descriptors.pass(&mut self.processes, each);
    }

    /// Takes in a change.
    pub fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Forked { parent, child } => {
                self.processes.forked(*parent, *child);
                // It is watched as its parent is, but the table was read before it began.
                self.descriptors.unwatch(*child);
            }
            Notice::Renamed { pid } => self.processes.renamed(*pid),
            Notice::Exited { pid } => {
                self.processes.exited(*pid);
                self.descriptors.unwatch(*pid);
            }
            Notice::Ended { inode } => drop(self.sockets.remove(inode)),
        }
        if self.processes.is_full() {
            self.forget();
        }
    }

    /// Nothing that is remembered can be trusted.
    pub fn forget(&mut self) {
        self.sockets.clear();
        self.processes = Processes::default();
        self.descriptors.forget();
    }

    /// The last known holder of a socket that nobody holds any more.
    pub fn last(&mut self, inode: u64) -> Option<Process> {
        if let Some(owner) = self
            .sockets
            .get(&inode)
            .and_then(|entry| entry.owner.as_ref())
        {
            return owner.process.clone();
        }
        let (pid, _) = self.descriptors.of(inode).next()?;
        self.process(pid)
    }

    /// A process by its pid.
    pub fn process(&mut self, pid: u32) -> Option<Process> {
        self.known(pid).map(|known| known.process)
    }

    /// Who holds the socket, or when the next pass may tell.
    pub fn of(&mut self, inode: u64, decoded: &Decoded, at_once: bool) -> Result<Found, Instant> {
        if let Some(entry) = self.sockets.get(&inode)
            && entry.is_valid(decoded, &self.processes)
        {
            return Ok(found(entry.owner.as_ref()));
        }
        let stamp = self.processes.stamp();
        let held = self.look(inode, decoded, at_once)?;
        Ok(self.remember(inode, decoded, &held, stamp))
    }

    /// Everyone who holds the socket now, by process and descriptor.
    fn look(
        &mut self,
        inode: u64,
        decoded: &Decoded,
        at_once: bool,
    ) -> Result<Vec<(u32, Option<u32>)>, Instant> {
        let mut held = self.tabled(inode);
        if accounts_for(&held, decoded) {
            return Ok(held);
        }
        held = self.verified(inode);
        if accounts_for(&held, decoded) {
            return Ok(held);
        }
        for pid in self.likely(inode, decoded) {
            if self.descriptors.read_process(pid) {
                held = self.verified(inode);
                if accounts_for(&held, decoded) {
                    return Ok(held);
                }
            }
        }
        if !self.descriptors.has_passed_since(decoded.monotonic_ns) && !at_once {
            let next = self.descriptors.next_pass();
            if Instant::now() < next {
                return Err(next);
            }
            self.pass(&mut || ());
            held = self.verified(inode);
        }
        if !accounts_for(&held, decoded) {
            self.add_fixed(inode, decoded, &mut held);
        }
        Ok(held)
    }

    /// Who is looked at before everyone is: the one who acted, and who held it before.
    fn likely(&self, inode: u64, decoded: &Decoded) -> Vec<u32> {
        let before = self.sockets.get(&inode);
        let before = before.iter().flat_map(|entry| &entry.before.holders);
        let mut pids: Vec<u32> = before.map(|(holder, _)| holder.pid).take(LIKELY).collect();
        pids.extend(decoded.evidence.iter().map(|evidence| evidence.pid));
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Of those who are known to have held it, and their children, who still does.
    fn verified(&self, inode: u64) -> Vec<(u32, Option<u32>)> {
        let mut candidates: Vec<(u32, u32)> = self.descriptors.of(inode).collect();
        if let Some(owner) = self
            .sockets
            .get(&inode)
            .and_then(|entry| entry.owner.as_ref())
        {
            let before = owner.holders.iter();
            candidates.extend(before.filter_map(|holder| Some((holder.process.pid, holder.fd?))));
        }
        let children: Vec<(u32, u32)> = candidates
            .iter()
            .flat_map(|(pid, fd)| {
                let children = self.processes.descendants(*pid).into_iter();
                children.map(|child| (child, *fd))
            })
            .collect();
        candidates.extend(children);
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .into_iter()
            .filter(|(pid, fd)| proc::holds(*pid, *fd, inode))
            .map(|(pid, fd)| (pid, Some(fd)))
            .collect()
    }

    /// What the table says, if nothing was told since that speaks against it. For the first event of
    /// a socket: later ones have an entry.
    fn tabled(&self, inode: u64) -> Vec<(u32, Option<u32>)> {
        if self.sockets.contains_key(&inode) {
            return Vec::new();
        }
        self.descriptors
            .current(inode, &self.processes)
            .into_iter()
            .map(|(pid, fd)| (pid, Some(fd)))
            .collect()
    }

    /// Those who hold it where no descriptor shows: as a fixed file of an io_uring.
    fn add_fixed(&self, inode: u64, decoded: &Decoded, held: &mut Vec<(u32, Option<u32>)>) {
        for pid in self.likely(inode, decoded) {
            if proc::holds_fixed(pid, inode) {
                held.push((pid, None));
            }
        }
    }

    fn remember(
        &mut self,
        inode: u64,
        decoded: &Decoded,
        held: &[(u32, Option<u32>)],
        stamp: Stamp,
    ) -> Found {
        let mut processes: Vec<(Known, Option<u32>)> = Vec::with_capacity(held.len());
        for (pid, fd) in held {
            if let Some(known) = self.known(*pid) {
                processes.push((known, *fd));
            }
        }
        let nothing = Before::default();
        let knowns: Vec<&Known> = processes.iter().map(|(known, _)| known).collect();
        let lineage = |pid| self.descriptors.lineage(pid);
        let hints = Hints {
            evidence: decoded.evidence.as_ref(),
            user: decoded.user,
            before: self
                .sockets
                .get(&inode)
                .map_or(&nothing, |entry| &entry.before),
            lineage: &lineage,
        };
        let chosen = choose(&knowns, &hints);
        let entry = Entry {
            owner: chosen.as_ref().map(|(at, proven)| {
                Arc::new(Owner {
                    process: Some(knowns[*at].process.clone()),
                    from: Some(proven[*at].unwrap_or(OwnerFrom::Scan)),
                    holders: processes
                        .iter()
                        .map(|(known, fd)| Holder {
                            process: known.process.clone(),
                            fd: *fd,
                        })
                        .collect(),
                })
            }),
            before: Before {
                holders: knowns
                    .iter()
                    .enumerate()
                    .map(|(at, known)| {
                        let proven = chosen.as_ref().and_then(|(_, proven)| proven[at]);
                        (known.identity(), proven)
                    })
                    .collect(),
                at_ns: now_ns(ClockId::Boottime),
            },
            refs: count(held)..=decoded.refs.max(count(held)),
            actor: actor(decoded),
            user: decoded.user,
            stamp,
            looked: decoded.time,
        };
        let found = found(entry.owner.as_ref());
        if self.sockets.len() >= MOST {
            self.sockets.clear();
        }
        self.sockets.insert(inode, entry);
        found
    }

    fn known(&mut self, pid: u32) -> Option<Known> {
        let descriptors = &mut self.descriptors;
        self.processes.get(pid, |pid| descriptors.watch(pid))
    }
}

fn found(owner: Option<&Arc<Owner>>) -> Found {
    match owner {
        Some(owner) => Found::Owner(Arc::clone(owner)),
        None => Found::Nobody,
    }
}

fn actor(decoded: &Decoded) -> Option<(u32, Act)> {
    let evidence = decoded.evidence.as_ref()?;
    Some((evidence.pid, evidence.act))
}

fn count(held: &[(u32, Option<u32>)]) -> u32 {
    held.len() as u32
}

/// Every reference to the file is one of these descriptors.
fn accounts_for(held: &[(u32, Option<u32>)], decoded: &Decoded) -> bool {
    !held.is_empty() && count(held) >= decoded.refs
}
