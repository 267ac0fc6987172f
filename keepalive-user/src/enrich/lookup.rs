//! Looks up who holds a socket, in the tables of descriptors and processes that are read from the kernel and /proc.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::time::ClockId;

use super::{
    changes::Changes,
    clocks::now_ns,
    descriptors::Descriptors,
    identity::Known,
    messages::Request,
    owner_cache::{Entry, actor},
    owner_rank::{Before, Hints, choose},
    proc,
    processes::Processes,
    resolver::WAIT,
};
use crate::{
    decode::Notice,
    event::{Holder, Owner, OwnerFrom, Process},
    source::ProcessTables,
};

/// At most this many processes that likely hold a socket are read one by one, before a pass reads all.
const LIKELY: usize = 4;
/// At the start, at most this many processes are read before the first event.
const MET: usize = 4_096;
/// A look-up that has found somebody waits this long for the next pass. Where that is further off, it answers with
/// what it has.
const PASS_WAIT: Duration = Duration::from_millis(400);

/// A process and the descriptor by which it holds a socket; `None`: by none.
type Held = (u32, Option<u32>);

/// The result of a look-up.
#[derive(Debug)]
pub enum Found {
    /// This is who holds it.
    All(Entry),
    /// A holder may be missing, and only a pass can tell. This is what was found so far.
    NeedsPass(Entry),
}

/// Tables of descriptors and processes.
pub struct Lookup {
    changes: Changes,
    descriptors: Descriptors,
    processes: Processes,
    stop: Arc<AtomicBool>,
}

impl Lookup {
    /// `tables` are the kernel half's, if there is one. Reading ends early once `stop` is true.
    pub fn new(tables: Option<ProcessTables>, stop: Arc<AtomicBool>) -> Self {
        Self {
            changes: Changes::default(),
            descriptors: Descriptors::new(tables, Arc::clone(&stop)),
            processes: Processes::default(),
            stop,
        }
    }

    /// Reads the descriptors of every process, calling `each` for every descriptor.
    pub fn pass(&mut self, each: &mut dyn FnMut()) {
        self.descriptors
            .pass(&self.changes, &mut self.processes, each);
    }

    /// Reads who the processes are that hold sockets, up to a bound. The first events of a busy host come all at
    /// once, and then it would take too long.
    pub fn meet(&mut self) {
        for pid in self.descriptors.processes(MET) {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            // A process may have ended meanwhile.
            let _ = self.known(pid);
        }
    }

    /// When the next pass may begin.
    pub fn next_pass(&self, now: Instant) -> Instant {
        self.descriptors.next_pass(now)
    }

    /// Whether the next pass is too far off to wait for it with what was found so far. Where nobody was found, it is
    /// waited for as long as events wait at all.
    pub fn is_pass_far_off(&self, so_far: &Entry, now: Instant) -> bool {
        let wait = if so_far.owner.is_some() {
            PASS_WAIT
        } else {
            WAIT
        };
        self.next_pass(now) > now + wait
    }

    /// Takes in a change.
    pub fn change(&mut self, notice: &Notice) {
        match notice {
            Notice::Forked { parent, child } => {
                self.changes.change(*parent);
                self.changes.change(*child);
                self.processes.forked(*parent, *child);
                // It is watched like its parent, but the table was read before it began.
                self.descriptors.unwatch(*child);
            }
            Notice::Renamed { pid } => {
                self.changes.change(*pid);
                self.processes.renamed(*pid);
            }
            Notice::Exited { pid } => {
                self.changes.change(*pid);
                self.processes.exited(*pid);
                self.descriptors.unwatch(*pid);
            }
            // Nothing is stored for single sockets here.
            Notice::Ended { .. } => {}
        }
    }

    /// Changes were lost: nothing that was read can be trusted.
    pub fn forget(&mut self) {
        self.changes.forget();
        self.processes = Processes::default();
        self.descriptors.forget();
    }

    /// The last known holder of a socket that nobody holds any more.
    pub fn last(&mut self, inode: u64) -> Option<Process> {
        let (pid, _) = self.descriptors.of(inode).next()?;
        self.known(pid).map(|known| known.process)
    }

    /// Looks up who holds the socket. With `without_pass` it answers also where a holder may be missing.
    pub fn look(&mut self, request: &Request, without_pass: bool) -> Found {
        let mut held = self.tabled(request);
        if !explains(&held, request) {
            held = self.verified(request);
        }
        if !explains(&held, request) {
            held = self.read_likely(request, held);
        }
        if !explains(&held, request) {
            if !without_pass && !self.descriptors.has_passed_since(request.monotonic_ns) {
                return Found::NeedsPass(self.entry(request, &held));
            }
            self.add_fixed(request, &mut held);
        }
        Found::All(self.entry(request, &held))
    }

    /// The holders in the table that have not changed since it was read. Only for the first event of a socket:
    /// a later event asks only because something spoke against what was found before.
    fn tabled(&self, request: &Request) -> Vec<Held> {
        if request.earlier.is_some() {
            return Vec::new();
        }
        let current = self.descriptors.current(request.inode, &self.changes);
        current
            .into_iter()
            .map(|(pid, fd)| (pid, Some(fd)))
            .collect()
    }

    /// Of the processes that are known to have held it, and their children, those that still do.
    fn verified(&self, request: &Request) -> Vec<Held> {
        let mut candidates: Vec<(u32, u32)> = self.descriptors.of(request.inode).collect();
        let earlier = request.earlier.as_ref();
        if let Some(owner) = earlier.and_then(|entry| entry.owner.as_ref()) {
            let holders = owner.holders.iter();
            candidates.extend(holders.filter_map(|holder| Some((holder.process.pid, holder.fd?))));
        }
        let of_children: Vec<(u32, u32)> = candidates
            .iter()
            .flat_map(|(pid, fd)| {
                let children = self.processes.descendants(*pid).into_iter();
                children.map(|child| (child, *fd))
            })
            .collect();
        candidates.extend(of_children);
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .into_iter()
            .filter(|(pid, fd)| proc::holds(*pid, *fd, request.inode))
            .map(|(pid, fd)| (pid, Some(fd)))
            .collect()
    }

    /// Reads the likely holders one by one until all references are explained.
    fn read_likely(&mut self, request: &Request, mut held: Vec<Held>) -> Vec<Held> {
        for pid in likely(request) {
            if self.descriptors.read_process(pid) {
                held = self.verified(request);
                if explains(&held, request) {
                    break;
                }
            }
        }
        held
    }

    /// Adds those that hold it as a fixed file of an io_uring.
    fn add_fixed(&mut self, request: &Request, held: &mut Vec<Held>) {
        for pid in likely(request) {
            if self
                .descriptors
                .holds_fixed(pid, request.inode, request.monotonic_ns)
            {
                held.push((pid, None));
            }
        }
    }

    fn entry(&mut self, request: &Request, held: &[Held]) -> Entry {
        let mut holders: Vec<(Known, Option<u32>)> = Vec::with_capacity(held.len());
        for (pid, fd) in held {
            if let Some(known) = self.known(*pid) {
                holders.push((known, *fd));
            }
        }
        let nothing = Before::default();
        let knowns: Vec<&Known> = holders.iter().map(|(known, _)| known).collect();
        let lineage = |pid| self.descriptors.lineage(pid);
        let hints = Hints {
            evidence: request.evidence.as_ref(),
            user: request.user,
            before: request
                .earlier
                .as_ref()
                .map_or(&nothing, |entry| &entry.before),
            lineage: &lineage,
        };
        let chosen = choose(&knowns, &hints);
        let proof = |at: usize| chosen.as_ref().and_then(|(_, proven)| proven[at]);
        Entry {
            before: Before {
                holders: knowns
                    .iter()
                    .enumerate()
                    .map(|(at, known)| (known.identity(), proof(at)))
                    .collect(),
                at_ns: now_ns(ClockId::Boottime),
            },
            owner: chosen
                .as_ref()
                .map(|(at, _)| Arc::new(owner(&holders, *at, proof(*at)))),
            refs: count(held)..=request.refs.max(count(held)),
            actor: actor(request.evidence.as_ref()),
            user: request.user,
            is_partial: false,
            stamp: request.stamp,
            looked: request.time,
        }
    }

    fn known(&mut self, pid: u32) -> Option<Known> {
        let descriptors = &mut self.descriptors;
        self.processes.get(pid, |pid| descriptors.watch(pid))
    }
}

/// The owner as it is shown: all holders, and the one that was chosen.
fn owner(holders: &[(Known, Option<u32>)], chosen: usize, proof: Option<OwnerFrom>) -> Owner {
    Owner {
        process: Some(holders[chosen].0.process.clone()),
        from: Some(proof.unwrap_or(OwnerFrom::Scan)),
        holders: holders
            .iter()
            .map(|(known, fd)| Holder {
                process: known.process.clone(),
                fd: *fd,
            })
            .collect(),
    }
}

/// The processes that most likely hold the socket: those that held it before, and the one that acted.
fn likely(request: &Request) -> Vec<u32> {
    let before = request.earlier.iter();
    let before = before.flat_map(|entry| &entry.before.holders);
    let mut pids: Vec<u32> = before.map(|(holder, _)| holder.pid).take(LIKELY).collect();
    pids.extend(request.evidence.iter().map(|evidence| evidence.pid));
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn count(held: &[Held]) -> u32 {
    u32::try_from(held.len()).unwrap_or(u32::MAX)
}

/// Whether every reference to the socket's file is one of these.
fn explains(held: &[Held], request: &Request) -> bool {
    !held.is_empty() && count(held) >= request.refs
}
