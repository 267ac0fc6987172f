//! The kernel half's memory of processes, read and written from user space; and its walk over all
//! descriptors.

use std::{cell::RefCell, fs::File, io::Read, rc::Rc};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
    programs::Iter,
};
use keepalive_ebpf::wire::{DESCRIPTOR_SIZE, Descriptor, Lineage};

use super::{error::HostError, functions::Functions, object};

/// The value that says that user space named the process.
const NAMED: u32 = 2;
const ITERATOR: &str = "descriptors_iter";
/// Rows are read in pieces of this size.
const PIECE: usize = 64 << 10;

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
    pub fn descriptors(&mut self, mut each: impl FnMut(&Descriptor)) -> bool {
        if !self.iterates {
            return false;
        }
        let Some(mut file) = self.open() else {
            return false;
        };
        let mut buffer = vec![0u8; PIECE];
        let mut held = 0;
        loop {
            match file.read(&mut buffer[held..]) {
                Ok(0) => return true,
                Ok(read) => held += read,
                // Seen at no time; what was handed over stands, and counts of references tell what
                // is missing.
                Err(_) => return true,
            }
            let rows = buffer[..held].chunks_exact(DESCRIPTOR_SIZE);
            let rest = rows.remainder().len();
            rows.filter_map(row).for_each(|row| each(&row));
            buffer.copy_within(held - rest..held, 0);
            held = rest;
        }
    }

    fn open(&self) -> Option<File> {
        let mut ebpf = self.ebpf.borrow_mut();
        let program: &mut Iter = ebpf.as_mut()?.program_mut(ITERATOR)?.try_into().ok()?;
        let link = program.attach().ok()?;
        program.take_link(link).ok()?.into_file().ok()
    }
}

/// Loads the walk over descriptors; it is attached anew for each walk.
pub(super) fn load_iterator(ebpf: &mut Ebpf, functions: &Functions<'_>) -> Result<(), HostError> {
    let program: &mut Iter = ebpf
        .program_mut(ITERATOR)
        .ok_or(HostError::Object(ITERATOR))?
        .try_into()
        .map_err(|source| HostError::Program {
            operation: "finding",
            program: ITERATOR,
            source,
        })?;
    program
        .load("task_file", functions.read()?)
        .map_err(|source| HostError::Program {
            operation: "loading",
            program: ITERATOR,
            source,
        })
}

fn row(bytes: &[u8]) -> Option<Descriptor> {
    if bytes.len() != DESCRIPTOR_SIZE {
        return None;
    }
    // SAFETY: as many bytes as the type has, all of whose fields are integers; the read does not
    // ask for alignment.
    Some(unsafe { bytes.as_ptr().cast::<Descriptor>().read_unaligned() })
}
