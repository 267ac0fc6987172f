//! Sockets that a process holds where no descriptor shows them: as fixed files of an io_uring.

use std::time::{Duration, Instant};

use rustix::time::ClockId;

use super::{
    clocks::{now_ns, timed},
    proc,
};
use crate::cache::Cache;

/// A process is read again after this time at the earliest.
const GAP: Duration = Duration::from_secs(1);
/// It is also not read again before this many times the CPU time of the last reading has passed.
const COST: u32 = 20;
/// Processes that are remembered.
const MOST: usize = 1_024;

/// What was read of processes.
#[derive(Debug)]
pub struct FixedFiles(Cache<u32, Reading>);

#[derive(Debug)]
struct Reading {
    /// Inodes, sorted.
    sockets: Vec<u64>,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    began_ns: u64,
    next: Instant,
}

impl Default for FixedFiles {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl FixedFiles {
    /// Whether the process held the socket at that moment (`CLOCK_MONOTONIC`, nanoseconds) or later. If the
    /// process was read just now, or `may_read` is false, the last reading decides. Also returns the CPU time
    /// that reading took.
    pub fn holds(
        &mut self,
        pid: u32,
        inode: u64,
        since_ns: u64,
        may_read: bool,
    ) -> (bool, Duration) {
        let is_due = self
            .0
            .get(&pid)
            .is_none_or(|reading| reading.began_ns <= since_ns && reading.next <= Instant::now());
        let cost = if is_due && may_read {
            self.read(pid)
        } else {
            Duration::ZERO
        };
        let holds = self
            .0
            .peek(&pid)
            .is_some_and(|reading| reading.sockets.binary_search(&inode).is_ok());
        (holds, cost)
    }

    fn read(&mut self, pid: u32) -> Duration {
        let began_ns = now_ns(ClockId::Monotonic);
        let (sockets, cost) = timed(|| proc::fixed_sockets(pid));
        let reading = Reading {
            sockets,
            began_ns,
            next: Instant::now() + GAP.max(cost * COST),
        };
        self.0.insert(pid, reading);
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_not_read_for_every_question() {
        let mut fixed = FixedFiles::default();
        let own = std::process::id();
        assert_eq!(fixed.holds(own, 7, 0, false), (false, Duration::ZERO));
        assert_eq!(fixed.0.len(), 0);
        let (holds, _) = fixed.holds(own, 7, 0, true);
        assert!(!holds);
        let began = fixed.0.peek(&own).unwrap().began_ns;
        // Also not for an event since, as long as the gap has not passed; here it never does.
        let reading = fixed.0.remove(&own).unwrap();
        let next = Instant::now() + Duration::from_secs(600);
        fixed.0.insert(own, Reading { next, ..reading });
        for since_ns in [0, u64::MAX] {
            assert_eq!(fixed.holds(own, 7, since_ns, true).1, Duration::ZERO);
            assert_eq!(fixed.0.peek(&own).unwrap().began_ns, began);
        }
    }

    #[test]
    fn the_last_reading_answers() {
        let mut fixed = FixedFiles::default();
        let reading = Reading {
            sockets: vec![5, 9],
            began_ns: 100,
            next: Instant::now() + GAP,
        };
        fixed.0.insert(1, reading);
        assert!(fixed.holds(1, 9, 200, true).0);
        assert!(!fixed.holds(1, 6, 200, true).0);
        assert!(!fixed.holds(2, 9, 200, false).0);
    }
}
