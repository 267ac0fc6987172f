//! Which process it is: a pid alone is no identity, because pids are reused.

use super::proc;
use crate::{decode::Evidence, event::Process};

/// A process by its pid and its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub pid: u32,
    /// Clock ticks after boot, as in /proc/PID/stat.
    pub start_ticks: u64,
}

impl Identity {
    /// The process that the kernel half saw.
    pub fn of(evidence: &Evidence) -> Self {
        Self {
            pid: evidence.pid,
            start_ticks: proc::ticks(evidence.start_ns),
        }
    }
}

/// A process as /proc shows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Clock ticks after boot, as in /proc/PID/stat.
    pub start_ticks: u64,
    pub process: Process,
}

impl Known {
    /// Which process it is.
    pub fn identity(&self) -> Identity {
        Identity {
            pid: self.process.pid,
            start_ticks: self.start_ticks,
        }
    }
}
