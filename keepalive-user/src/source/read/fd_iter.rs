//! The kernel's iterator over all descriptors (`iter/task_file`): loaded and linked once, read as often
//! as wanted.

use std::{
    io::Read,
    os::{fd::OwnedFd, linux::fs::MetadataExt},
};

use aya::{
    Ebpf,
    programs::{Iter, ProgramError},
};
use keepalive_ebpf::wire::{DESCRIPTOR_SIZE, Descriptor};

use super::syscalls;
use crate::source::{error::HostError, kernel_info::functions::Functions};

/// The program.
pub const PROGRAM: &str = "fd_iter";
/// Bytes to ask for at once.
const PIECE: usize = 64 << 10;
/// Inode number of the host's pid namespace (`PROC_PID_INIT_INO`).
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// The iterator, linked. It needs nothing else of the object that it was loaded from.
#[derive(Debug)]
pub struct FdIterator {
    link: OwnedFd,
}

impl FdIterator {
    /// Loads the iterator and links it.
    ///
    /// # Errors
    ///
    /// The kernel refuses the program, or katrace runs in a pid namespace of its own, where the process
    /// ids of the rows mean nothing.
    pub fn load(ebpf: &mut Ebpf, functions: &Functions<'_>) -> Result<Self, HostError> {
        if !is_first_pid_namespace() {
            return Err(HostError::PidNamespace);
        }
        let failed = |operation| HostError::program(operation, PROGRAM);
        let program: &mut Iter = ebpf
            .program_mut(PROGRAM)
            .ok_or(HostError::Object(PROGRAM))?
            .try_into()
            .map_err(failed("finding"))?;
        program
            .load("task_file", functions.read()?)
            .map_err(failed("loading"))?;
        let link = syscalls::link_iterator(program.fd().map_err(failed("linking"))?);
        Ok(Self {
            link: link
                .map_err(ProgramError::IOError)
                .map_err(failed("linking"))?,
        })
    }

    /// Hands over every descriptor of a TCP socket. False where the kernel does not open the iterator;
    /// then nothing was handed over.
    pub fn read(&self, mut each: impl FnMut(&Descriptor)) -> bool {
        let Ok(mut file) = syscalls::open_iterator(&self.link) else {
            return false;
        };
        let mut buffer = vec![0u8; PIECE];
        let mut held = 0;
        loop {
            match file.read(&mut buffer[held..]) {
                Ok(0) => return true,
                Ok(read) => held += read,
                // No kernel was seen to do this. The rows so far are right, and the caller compares
                // them with the socket's count of references, which shows that some are missing.
                Err(_) => return true,
            }
            let rows = buffer[..held].chunks_exact(DESCRIPTOR_SIZE);
            let rest = rows.remainder().len();
            rows.filter_map(row).for_each(|row| each(&row));
            buffer.copy_within(held - rest..held, 0);
            held = rest;
        }
    }
}

/// The rows have process ids of the host's pid namespace.
fn is_first_pid_namespace() -> bool {
    std::fs::metadata("/proc/self/ns/pid").is_ok_and(|file| file.st_ino() == FIRST_PID_NAMESPACE)
}

fn row(bytes: &[u8]) -> Option<Descriptor> {
    if bytes.len() != DESCRIPTOR_SIZE {
        return None;
    }
    // SAFETY: as many bytes as the type has, all of whose fields are integers; the read does not
    // ask for alignment.
    Some(unsafe { bytes.as_ptr().cast::<Descriptor>().read_unaligned() })
}
