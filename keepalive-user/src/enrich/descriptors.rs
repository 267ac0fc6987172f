//! Which process has which descriptors, read from the kernel half's iterator or from /proc; and how often.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use keepalive_ebpf::wire::Lineage;
use rustix::time::ClockId;

use super::{
    budget::Budget,
    changes::{Changes, Stamp},
    clocks::{now_ns, timed},
    fixed_files::FixedFiles,
    proc,
    processes::Processes,
    table::Table,
};
use crate::{cache::Cache, source::ProcessTables};

/// Passes are at least this far apart, whatever the budget allows.
const PASS_GAP: Duration = Duration::from_millis(250);
/// The descriptors of one process are read again after this time at the earliest.
const PROCESS_GAP: Duration = Duration::from_millis(200);
/// They are also not read again before this many times the CPU time of the last reading has passed.
const PROCESS_COST: u32 = 20;
/// How many processes that were read one by one are kept.
const PROCESSES: usize = 1_024;
/// How many descriptors of these processes are kept in all.
const MOST: usize = 65_536;

/// What is known of descriptors.
pub struct Descriptors {
    tables: Option<ProcessTables>,
    table: Table,
    /// The table includes all changes up to this stamp, for processes that were watched before it was read.
    table_stamp: Stamp,
    /// Processes whose changes the kernel half tells.
    watched: HashSet<u32>,
    /// Processes read one by one since the last pass.
    readings: Readings,
    fixed: FixedFiles,
    budget: Budget,
    /// The end of the last pass.
    passed: Option<Instant>,
    /// `CLOCK_MONOTONIC` at the start of the last pass that can be trusted, nanoseconds; 0: there is none.
    pass_began_ns: u64,
    stop: Arc<AtomicBool>,
}

impl Descriptors {
    /// `tables` are the kernel half's, if there is one. Reading ends early once `stop` is true.
    pub fn new(tables: Option<ProcessTables>, stop: Arc<AtomicBool>) -> Self {
        Self {
            tables,
            table: Table::default(),
            table_stamp: 0,
            watched: HashSet::new(),
            readings: Readings::default(),
            fixed: FixedFiles::default(),
            budget: Budget::new(Instant::now()),
            passed: None,
            pass_began_ns: 0,
            stop,
        }
    }

    /// Reads the descriptors of every process, calling `each` for every descriptor.
    pub fn pass(&mut self, changes: &Changes, processes: &mut Processes, each: &mut dyn FnMut()) {
        let is_first = self.pass_began_ns == 0;
        let ((), cost) = timed(|| {
            if !self.iterate(changes, processes, each) {
                self.read_all(changes, processes, each);
            } else if is_first && self.watch_all() {
                // Changes from before all of them were watched were not reported, so it is read again.
                self.iterate(changes, processes, each);
            }
        });
        self.readings = Readings::default();
        let now = Instant::now();
        // The pass at the start is not charged to the budget: without it no owner can be named.
        if self.passed.replace(now).is_some() {
            self.budget.spend(cost, now);
        }
    }

    fn begin(&mut self, changes: &Changes, processes: &mut Processes) {
        self.pass_began_ns = now_ns(ClockId::Monotonic);
        self.table_stamp = changes.stamp();
        processes.forget_children();
    }

    /// Reads by the kernel half's iterator; false if there is none.
    fn iterate(
        &mut self,
        changes: &Changes,
        processes: &mut Processes,
        each: &mut dyn FnMut(),
    ) -> bool {
        self.begin(changes, processes);
        let mut rows = Vec::new();
        let has_iterator = self.tables.as_mut().is_some_and(|tables| {
            tables.descriptors(|row| {
                each();
                rows.push((row.inode, row.tgid, row.fd));
            })
        });
        if has_iterator {
            self.table = Table::of(rows);
        }
        has_iterator
    }

    /// Reads /proc. Each process is watched before it is read, so that later changes are told.
    fn read_all(&mut self, changes: &Changes, processes: &mut Processes, each: &mut dyn FnMut()) {
        self.begin(changes, processes);
        let Self {
            tables,
            watched,
            stop,
            ..
        } = self;
        self.table = Table::of_processes(proc::pids(), |pid, read| {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let is_new =
                !watched.contains(&pid) && tables.as_mut().is_some_and(|tables| tables.watch(pid));
            let sockets = read(pid);
            (0..sockets).for_each(|_| each());
            match tables {
                Some(tables) if is_new && sockets == 0 => tables.unwatch(pid),
                Some(_) if is_new => drop(watched.insert(pid)),
                Some(_) | None => {}
            }
        });
    }

    /// Asks to be told of the changes of every process in the table; true if some were not watched yet.
    fn watch_all(&mut self) -> bool {
        let Some(tables) = &mut self.tables else {
            return false;
        };
        let before = self.watched.len();
        for pid in self.table.processes() {
            if !self.watched.contains(&pid) && tables.watch(pid) {
                self.watched.insert(pid);
            }
        }
        self.watched.len() > before
    }

    /// At most so many of the processes that hold sockets, each once.
    pub fn processes(&self, most: usize) -> HashSet<u32> {
        let mut pids = HashSet::new();
        for pid in self.table.processes() {
            if pids.len() >= most {
                break;
            }
            pids.insert(pid);
        }
        pids
    }

    /// Asks to be told of one process's changes; false if there is no room.
    pub fn watch(&mut self, pid: u32) -> bool {
        // It does not join `watched`, which is for processes that were watched before the table was read.
        self.watched.contains(&pid) || self.tables.as_mut().is_some_and(|tables| tables.watch(pid))
    }

    /// The process with this pid is no longer the one from which the table was read.
    pub fn unwatch(&mut self, pid: u32) {
        self.watched.remove(&pid);
    }

    /// Where a process comes from, if the kernel half saw it begin.
    pub fn lineage(&self, pid: u32) -> Option<Lineage> {
        self.tables.as_ref()?.lineage(pid)
    }

    /// Changes were lost: nothing that was read can be trusted. The budget stays as it is.
    pub fn forget(&mut self) {
        self.table = Table::default();
        self.table_stamp = 0;
        self.watched.clear();
        self.readings = Readings::default();
        self.pass_began_ns = 0;
    }

    /// Every process that is known to have held the socket, with the descriptor.
    pub fn of(&self, inode: u64) -> impl Iterator<Item = (u32, u32)> {
        self.table
            .holders(inode)
            .chain(self.readings.holders(inode))
    }

    /// The holders in the table that are watched and have not changed since the table was read.
    pub fn current(&self, inode: u64, changes: &Changes) -> Vec<(u32, u32)> {
        let is_current =
            |pid| self.watched.contains(&pid) && changes.is_unchanged(pid, self.table_stamp);
        self.table
            .holders(inode)
            .filter(|(pid, _)| is_current(*pid))
            .collect()
    }

    /// Reads one process's descriptors. False if that was just done, or the budget is spent.
    pub fn read_process(&mut self, pid: u32) -> bool {
        let now = Instant::now();
        if !self.budget.is_ready(now) || !self.readings.is_due(pid, now) {
            return false;
        }
        let cost = self.readings.read(pid);
        self.budget.spend(cost, Instant::now());
        true
    }

    /// Whether the process held the socket as a fixed file of an io_uring at that moment
    /// (`CLOCK_MONOTONIC`, nanoseconds) or later, as far as the budget allows to know.
    pub fn holds_fixed(&mut self, pid: u32, inode: u64, since_ns: u64) -> bool {
        let may_read = self.budget.is_ready(Instant::now());
        let (holds, cost) = self.fixed.holds(pid, inode, since_ns, may_read);
        if !cost.is_zero() {
            self.budget.spend(cost, Instant::now());
        }
        holds
    }

    /// Whether a pass began after a moment (`CLOCK_MONOTONIC`, nanoseconds). Such a pass has seen every
    /// process that has held the socket from then on.
    pub fn has_passed_since(&self, monotonic_ns: u64) -> bool {
        self.pass_began_ns > monotonic_ns
    }

    /// When the next pass may begin.
    pub fn next_pass(&self, now: Instant) -> Instant {
        let by_budget = self.budget.ready_at(now);
        self.passed
            .map_or(by_budget, |passed| by_budget.max(passed + PASS_GAP))
    }
}

/// Processes read one by one. The one not asked for the longest time goes first.
struct Readings {
    by_process: Cache<u32, Reading>,
    descriptors: usize,
}

struct Reading {
    /// Inode and descriptor, sorted.
    sockets: Vec<(u64, u32)>,
    next: Instant,
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            by_process: Cache::new(PROCESSES),
            descriptors: 0,
        }
    }
}

impl Readings {
    fn is_due(&self, pid: u32, now: Instant) -> bool {
        self.by_process
            .peek(&pid)
            .is_none_or(|reading| reading.next <= now)
    }

    /// Reads a process and returns the CPU time that it cost.
    fn read(&mut self, pid: u32) -> Duration {
        let (sockets, cost) = timed(|| {
            let mut sockets = Vec::new();
            proc::sockets(pid, |inode, fd| sockets.push((inode, fd)));
            sockets.sort_unstable();
            sockets
        });
        let next = Instant::now() + PROCESS_GAP.max(cost * PROCESS_COST);
        self.take(pid, Reading { sockets, next });
        cost
    }

    fn take(&mut self, pid: u32, reading: Reading) {
        if let Some(before) = self.by_process.remove(&pid) {
            self.descriptors -= before.sockets.len();
        }
        self.descriptors += reading.sockets.len();
        let mut evicted = self.by_process.insert(pid, reading);
        loop {
            if let Some((_, gone)) = evicted {
                self.descriptors -= gone.sockets.len();
            }
            if self.descriptors <= MOST || self.by_process.len() == 1 {
                break;
            }
            evicted = self.by_process.remove_oldest();
        }
    }

    fn holders(&self, inode: u64) -> impl Iterator<Item = (u32, u32)> {
        self.by_process.iter().flat_map(move |(pid, reading)| {
            let first = reading.sockets.partition_point(|(other, _)| *other < inode);
            reading.sockets[first..]
                .iter()
                .take_while(move |(other, _)| *other == inode)
                .map(|(_, fd)| (*pid, *fd))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(sockets: impl IntoIterator<Item = (u64, u32)>) -> Reading {
        Reading {
            sockets: sockets.into_iter().collect(),
            next: Instant::now() + PROCESS_GAP,
        }
    }

    #[test]
    fn a_process_that_was_just_read_is_not_read_again() {
        let mut readings = Readings::default();
        let now = Instant::now();
        assert!(readings.is_due(7, now));
        readings.take(7, reading([(50, 3), (50, 4), (60, 5)]));
        assert!(!readings.is_due(7, now));
        assert!(readings.is_due(7, now + 2 * PROCESS_GAP));
        let holders: Vec<_> = readings.holders(50).collect();
        assert_eq!(holders, [(7, 3), (7, 4)]);
        assert_eq!(readings.holders(55).count(), 0);
    }

    #[test]
    fn past_the_bound_the_processes_read_last_are_kept() {
        let mut readings = Readings::default();
        let half = MOST as u64 / 2;
        for pid in 1..=3 {
            readings.take(pid, reading((0..half).map(|inode| (inode, 9))));
        }
        let pids: Vec<u32> = readings.holders(0).map(|(pid, _)| pid).collect();
        assert_eq!(pids, [2, 3]);
        assert_eq!(readings.descriptors, MOST);
        // A process with more descriptors than the bound is kept, without any other.
        readings.take(4, reading((0..3 * half).map(|inode| (inode, 9))));
        assert_eq!(readings.holders(0).collect::<Vec<_>>(), [(4, 9)]);
        // Read again, it counts once.
        readings.take(4, reading([(0, 9)]));
        assert_eq!(readings.descriptors, 1);
    }

    #[test]
    fn what_was_spent_stays_spent_when_all_is_forgotten() {
        let mut descriptors = Descriptors::new(None, Arc::default());
        let (changes, mut processes) = (Changes::default(), Processes::default());
        descriptors.pass(&changes, &mut processes, &mut || ());
        assert!(descriptors.has_passed_since(1));
        let now = Instant::now();
        // However long this test takes, the gap after the pass has not passed.
        descriptors.passed = Some(now + Duration::from_secs(600));
        assert!(descriptors.next_pass(now) > now);
        descriptors.forget();
        assert!(!descriptors.has_passed_since(1));
        assert!(descriptors.next_pass(now) > now);
    }

    #[test]
    fn a_pass_ends_early_when_asked_to() {
        let stop = Arc::new(AtomicBool::new(true));
        let mut descriptors = Descriptors::new(None, stop);
        let _socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut seen = 0;
        let (changes, mut processes) = (Changes::default(), Processes::default());
        descriptors.pass(&changes, &mut processes, &mut || seen += 1);
        assert_eq!(seen, 0);
    }
}
