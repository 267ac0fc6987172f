//! The kernel half's memory of processes, read and written from user space; and its walk over all
//! descriptors.

use std::{cell::RefCell, rc::Rc};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun},
};
use keepalive_ebpf::wire::{Descriptor, Lineage, config::WATCHED};

use super::{error::HostError, object, walk};

/// The program that writes to the table of processes for user space.
pub(super) const WRITER: &str = "watch_pid";

/// Shared with [`super::Source`], which detaches by emptying it.
pub(super) type SharedEbpf = Rc<RefCell<Option<Ebpf>>>;

/// What user space asks and tells the kernel half between events.
pub struct Memory {
    ebpf: SharedEbpf,
    processes: HashMap<MapData, u32, u32>,
    lineage: HashMap<MapData, u32, object::Shared<Lineage>>,
    loaded: Loaded,
}

/// What else is loaded for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loaded {
    /// The walk over descriptors.
    pub walk: bool,
    /// [`WRITER`].
    pub writer: bool,
}

impl Memory {
    pub(super) fn take(
        ebpf: &mut Ebpf,
        shared: SharedEbpf,
        loaded: Loaded,
    ) -> Result<Self, HostError> {
        Ok(Self {
            processes: object::take(ebpf, "PROCESSES")?,
            lineage: object::take(ebpf, "LINEAGE")?,
            ebpf: shared,
            loaded,
        })
    }

    /// Asks to be told of this process's children, names and end; false if there is no room.
    pub fn watch(&mut self, pid: u32) -> bool {
        match self.write(pid, true) {
            Some(written) => written,
            None => self.processes.insert(pid, WATCHED, 0).is_ok(),
        }
    }

    /// Asks to be told no more.
    pub fn unwatch(&mut self, pid: u32) {
        if self.write(pid, false).is_none() {
            // Where it is gone already, so is the entry.
            let _ = self.processes.remove(&pid);
        }
    }

    /// Has the kernel half write whether a process is watched: a write from here would make the kernel
    /// skip kprobes. Returns whether there was room; `None` where the program cannot be run.
    fn write(&self, pid: u32, watch: bool) -> Option<bool> {
        if !self.loaded.writer {
            return None;
        }
        let mut ebpf = self.ebpf.borrow_mut();
        let program: &mut RawTracePoint = ebpf.as_mut()?.program_mut(WRITER)?.try_into().ok()?;
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = u64::from(pid);
        options.args[1] = u64::from(watch);
        let run = program.test_run(options).ok()?;
        Some(run.return_value == 0)
    }

    /// Where a process comes from, if its parent had to do with a socket when it began.
    pub fn lineage(&self, pid: u32) -> Option<Lineage> {
        self.lineage.get(&pid, 0).ok().map(|lineage| lineage.0)
    }

    /// Hands over every descriptor of a TCP socket that the kernel walks by; false if it does not
    /// walk here, and then nothing was handed over.
    pub fn descriptors(&mut self, each: impl FnMut(&Descriptor)) -> bool {
        if !self.loaded.walk {
            return false;
        }
        let mut ebpf = self.ebpf.borrow_mut();
        ebpf.as_mut().is_some_and(|ebpf| walk::walk(ebpf, each))
    }
}
