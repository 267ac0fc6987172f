//! The kernel half's tables of processes, read and written from user space, and its iterator over
//! all descriptors.

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
    programs::{ProgramError, ProgramFd, RawTracePoint},
};
use keepalive_ebpf::wire::{Descriptor, Lineage, config::WATCHED};

use super::{fd_iter::FdIterator, syscalls};
use crate::source::{
    error::HostError,
    load::object::{self, Shared},
};

/// The program that writes to the table of processes for user space. No hook runs it.
pub const WRITER: &str = "watch_pid";

/// What user space asks and tells the kernel half between events.
///
/// It shares nothing with [`Source`](crate::source::Source), so it may be used on another thread, and after the
/// hooks were detached.
pub struct ProcessTables {
    processes: HashMap<MapData, u32, u32>,
    lineage: HashMap<MapData, u32, Shared<Lineage>>,
    loaded: Loaded,
}

/// Programs of the kernel half that only [`ProcessTables`] runs.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The iterator over descriptors; `None` where descriptors are read from /proc.
    pub descriptors: Option<FdIterator>,
    /// [`WRITER`]; `None` where user space writes the table itself.
    pub writer: Option<ProgramFd>,
}

impl ProcessTables {
    /// Takes the maps out of the object.
    ///
    /// # Errors
    ///
    /// There are no such maps.
    pub fn take(ebpf: &mut Ebpf, loaded: Loaded) -> Result<Self, HostError> {
        Ok(Self {
            processes: object::take(ebpf, "PROCESSES")?,
            lineage: object::take(ebpf, "LINEAGE")?,
            loaded,
        })
    }

    /// Asks the kernel half to tell of this process's children, names and end. False if the table
    /// is full.
    pub fn watch(&mut self, pid: u32) -> bool {
        match self.write(pid, true) {
            Some(written) => written,
            None => self.processes.insert(pid, WATCHED, 0).is_ok(),
        }
    }

    /// Takes back what [`watch`](Self::watch) asked for.
    pub fn unwatch(&mut self, pid: u32) {
        if self.write(pid, false).is_none() {
            // It fails where the process has ended: then the kernel half removed the entry.
            let _ = self.processes.remove(&pid);
        }
    }

    /// Has the kernel half write whether a process is watched. While user space writes to a map,
    /// the kernel skips kprobe programs on that CPU.
    ///
    /// Returns whether the table had room; `None` where the program cannot be run.
    fn write(&self, pid: u32, watch: bool) -> Option<bool> {
        let writer = self.loaded.writer.as_ref()?;
        let returned = syscalls::run(writer, &[u64::from(pid), u64::from(watch)]).ok()?;
        Some(returned == 0)
    }

    /// Where a process comes from, if its parent had to do with a socket when it began.
    pub fn lineage(&self, pid: u32) -> Option<Lineage> {
        self.lineage.get(&pid, 0).ok().map(|lineage| lineage.0)
    }

    /// Hands over every descriptor of a TCP socket on this host. False where the kernel half cannot
    /// iterate over descriptors; then nothing was handed over.
    pub fn descriptors(&mut self, each: impl FnMut(&Descriptor)) -> bool {
        self.loaded
            .descriptors
            .as_ref()
            .is_some_and(|iterator| iterator.read(each))
    }
}

/// Loads [`WRITER`].
///
/// # Errors
///
/// The kernel refuses the program.
pub fn load_writer(ebpf: &mut Ebpf) -> Result<ProgramFd, HostError> {
    let failed = |operation| HostError::program(operation, WRITER);
    let program: &mut RawTracePoint = ebpf
        .program_mut(WRITER)
        .ok_or(HostError::Object(WRITER))?
        .try_into()
        .map_err(failed("finding"))?;
    program.load().map_err(failed("loading"))?;
    let fd = program.fd().map_err(failed("loading"))?;
    fd.try_clone()
        .map_err(ProgramError::IOError)
        .map_err(failed("duplicating the descriptor of"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_thread_may_use_the_tables() {
        fn assert_send<T: Send>() {}
        assert_send::<ProcessTables>();
    }
}
