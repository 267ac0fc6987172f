//! The kernel half's memory of processes, read and written from user space; and its walk over all
//! descriptors.

use std::{cell::RefCell, rc::Rc};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use keepalive_ebpf::wire::{Descriptor, Lineage};

use super::{error::HostError, object, walk};

/// The value that says that user space named the process.
const NAMED: u32 = 2;

/// Shared with [`super::Source`], which detaches by emptying it.
pub(super) type SharedEbpf = Rc<RefCell<Option<Ebpf>>>;

/// What user space asks and tells the kernel half between events.
pub struct Memory {
    ebpf: SharedEbpf,
    processes: HashMap<MapData, u32, u32>,
    lineage: HashMap<MapData, u32, object::Shared<Lineage>>,
    /// The walk over descriptors is loaded.
    iterates: bool,
}

impl Memory {
    pub(super) fn take(
        ebpf: &mut Ebpf,
        shared: SharedEbpf,
        iterates: bool,
    ) -> Result<Self, HostError> {
        Ok(Self {
            processes: object::take(ebpf, "PROCESSES")?,
            lineage: object::take(ebpf, "LINEAGE")?,
            ebpf: shared,
            iterates,
        })
    }

    /// Asks to be told of this process's children, names and end; false if there is no room.
    pub fn watch(&mut self, pid: u32) -> bool {
        self.processes.insert(pid, NAMED, 0).is_ok()
    }

    /// Asks to be told no more.
    pub fn unwatch(&mut self, pid: u32) {
        // Where it is gone already, so is the entry.
        let _ = self.processes.remove(&pid);
    }

    /// Where a process comes from, if its parent had to do with a socket when it began.
    pub fn lineage(&self, pid: u32) -> Option<Lineage> {
        self.lineage.get(&pid, 0).ok().map(|lineage| lineage.0)
    }

    /// Hands over every descriptor of a TCP socket that the kernel walks by; false if it does not
    /// walk here, and then nothing was handed over.
    pub fn descriptors(&mut self, each: impl FnMut(&Descriptor)) -> bool {
        if !self.iterates {
            return false;
        }
        let mut ebpf = self.ebpf.borrow_mut();
        ebpf.as_mut().is_some_and(|ebpf| walk::walk(ebpf, each))
    }
}
