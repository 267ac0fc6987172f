//! Who has which descriptors, read from the kernel's own walk or from /proc, and how often.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use keepalive_ebpf::wire::Lineage;
use rustix::time::{ClockId, clock_gettime};

use super::{
    proc,
    processes::{Processes, Stamp},
    table::Table,
};
use crate::source::ProcessTables;

/// Passes are at least this far apart, however urgent.
const PASS_GAP: Duration = Duration::from_millis(250);
/// And at least this many times their own duration: a pass may take a twentieth of one CPU.
const PASS_COST: u32 = 20;
/// One process's descriptors are read again no sooner than this.
const PROCESS_GAP: Duration = Duration::from_millis(200);
/// Descriptors of processes read one by one that are kept.
const MOST: usize = 65_536;

#[derive(Default)]
pub struct Descriptors {
    memory: Option<ProcessTables>,
    table: Table,
    /// Changes up to here are in the table, for processes that were watched before it was read.
    table_stamp: Stamp,
    /// Processes whose changes the kernel half tells.
    watched: HashSet<u32>,
    /// Descriptors of processes read one by one since the last pass.
    recent: Table,
    /// When those processes were read.
    read: HashMap<u32, Instant>,
    passed: Option<Instant>,
    /// The last pass began then, by the clock of events.
    pass_began_ns: u64,
    cost: Duration,
}

impl Descriptors {
    pub fn new(memory: Option<ProcessTables>) -> Self {
        Self {
            memory,
            ..Self::default()
        }
    }

    /// Reads the descriptors of every process, calling `each` for every descriptor.
    pub fn pass(&mut self, processes: &mut Processes, each: &mut dyn FnMut()) {
        let began = Instant::now();
        let is_first = self.passed.is_none();
        if self.walk(processes, each) {
            if is_first && self.watch_all() {
                // What changed while nobody was watched yet.
                self.walk(processes, each);
            }
        } else {
            self.read_all(processes, each);
        }
        self.recent = Table::default();
        self.read.clear();
        let ended = Instant::now();
        self.cost = ended - began;
        self.passed = Some(ended);
    }

    fn begin(&mut self, processes: &mut Processes) {
        self.pass_began_ns = now_ns(ClockId::Monotonic);
        self.table_stamp = processes.stamp();
        processes.forget_children();
    }

    /// By the kernel's own walk; false where it does not walk.
    fn walk(&mut self, processes: &mut Processes, each: &mut dyn FnMut()) -> bool {
        self.begin(processes);
        let mut rows = Vec::new();
        let walked = self.memory.as_mut().is_some_and(|memory| {
            memory.descriptors(|row| {
                each();
                rows.push((row.inode, row.tgid, row.fd));
            })
        });
        if walked {
            self.table = Table::of(rows);
        }
        walked
    }

    /// From /proc. A process is watched before it is read, so that what changes meanwhile is told.
    fn read_all(&mut self, processes: &mut Processes, each: &mut dyn FnMut()) {
        self.begin(processes);
        self.table = Table::of_processes(proc::pids(), |pid, read| {
            let is_new = !self.watched.contains(&pid)
                && self.memory.as_mut().is_some_and(|memory| memory.watch(pid));
            let sockets = read(pid);
            (0..sockets).for_each(|_| each());
            match &mut self.memory {
                Some(memory) if is_new && sockets == 0 => memory.unwatch(pid),
                Some(_) if is_new => drop(self.watched.insert(pid)),
                Some(_) | None => {}
            }
        });
    }

    /// Asks to be told of every process in the table; true if that was news.
    fn watch_all(&mut self) -> bool {
        let Some(memory) = &mut self.memory else {
            return false;
        };
        let before = self.watched.len();
        for pid in self.table.processes() {
            if !self.watched.contains(&pid) && memory.watch(pid) {
                self.watched.insert(pid);
            }
        }
        self.watched.len() > before
    }

    /// Asks to be told of one process; false if there is no room.
    pub fn watch(&mut self, pid: u32) -> bool {
        // A process that the table was read without was not watched then, and stays out of the set.
        self.watched.contains(&pid) || self.memory.as_mut().is_some_and(|memory| memory.watch(pid))
    }

    /// The process is another one than the table knows.
    pub fn unwatch(&mut self, pid: u32) {
        self.watched.remove(&pid);
    }

    /// Where a process comes from, if that was seen.
    pub fn lineage(&self, pid: u32) -> Option<Lineage> {
        self.memory.as_ref()?.lineage(pid)
    }

    /// Nothing that was read can be trusted.
    pub fn forget(&mut self) {
        *self = Self::new(self.memory.take());
    }

    /// Everyone known to have held the socket, by process and descriptor.
    pub fn of(&self, inode: u64) -> impl Iterator<Item = (u32, u32)> {
        self.table.holders(inode).chain(self.recent.holders(inode))
    }

    /// Those of whom nothing was told since that speaks against it.
    pub fn current(&self, inode: u64, processes: &Processes) -> Vec<(u32, u32)> {
        let is_current =
            |pid| self.watched.contains(&pid) && processes.is_unchanged(pid, self.table_stamp);
        self.table
            .holders(inode)
            .filter(|(pid, _)| is_current(*pid))
            .collect()
    }

    /// Reads one process's descriptors; false if that was just done.
    pub fn read_process(&mut self, pid: u32) -> bool {
        let now = Instant::now();
        if self
            .read
            .get(&pid)
            .is_some_and(|read| now - *read < PROCESS_GAP)
        {
            return false;
        }
        if self.recent.len() >= MOST {
            self.recent = Table::default();
            self.read.clear();
        }
        self.read.insert(pid, now);
        self.recent.read_process(pid);
        true
    }

    /// A pass that began after a moment (`CLOCK_MONOTONIC`) has seen whoever held a socket then.
    pub fn has_passed_since(&self, monotonic_ns: u64) -> bool {
        self.passed.is_some() && self.pass_began_ns > monotonic_ns
    }

    /// When the next pass may run.
    pub fn next_pass(&self) -> Instant {
        match self.passed {
            Some(passed) => passed + PASS_GAP.max(self.cost * PASS_COST),
            None => Instant::now(),
        }
    }
}

/// A clock's time, nanoseconds.
pub fn now_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}
