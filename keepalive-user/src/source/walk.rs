//! The kernel's walk over all descriptors (`iter/task_file`), loaded once and made as often as wanted.

use std::{fs::File, io::Read, os::linux::fs::MetadataExt};

use aya::{Ebpf, programs::Iter};
use keepalive_ebpf::wire::{DESCRIPTOR_SIZE, Descriptor};

use super::{error::HostError, functions::Functions};

const PROGRAM: &str = "fd_iter";
/// Rows are read in pieces of this size.
const PIECE: usize = 64 << 10;
/// Inode number of the first pid namespace (`PROC_PID_INIT_INO`).
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Loads the walk; it is attached anew each time.
///
/// # Errors
///
/// The kernel refuses the program, or numbers processes otherwise than katrace sees them.
pub fn load(ebpf: &mut Ebpf, functions: &Functions<'_>) -> Result<(), HostError> {
    if !is_first_pid_namespace() {
        return Err(HostError::PidNamespace);
    }
    let program: &mut Iter = ebpf
        .program_mut(PROGRAM)
        .ok_or(HostError::Object(PROGRAM))?
        .try_into()
        .map_err(|source| HostError::Program {
            operation: "finding",
            program: PROGRAM,
            source,
        })?;
    program
        .load("task_file", functions.read()?)
        .map_err(|source| HostError::Program {
            operation: "loading",
            program: PROGRAM,
            source,
        })
}

/// Hands over every descriptor of a TCP socket that the kernel walks by; false if it does not walk
/// here, and then nothing was handed over.
pub fn walk(ebpf: &mut Ebpf, mut each: impl FnMut(&Descriptor)) -> bool {
    let Some(mut file) = open(ebpf) else {
        return false;
    };
    let mut buffer = vec![0u8; PIECE];
    let mut held = 0;
    loop {
        match file.read(&mut buffer[held..]) {
            Ok(0) => return true,
            Ok(read) => held += read,
            // Seen at no time; what was handed over stands, and counts of references tell what is
            // missing.
            Err(_) => return true,
        }
        let rows = buffer[..held].chunks_exact(DESCRIPTOR_SIZE);
        let rest = rows.remainder().len();
        rows.filter_map(row).for_each(|row| each(&row));
        buffer.copy_within(held - rest..held, 0);
        held = rest;
    }
}

fn open(ebpf: &mut Ebpf) -> Option<File> {
    let program: &mut Iter = ebpf.program_mut(PROGRAM)?.try_into().ok()?;
    let link = program.attach().ok()?;
    program.take_link(link).ok()?.into_file().ok()
}

/// The rows number processes as the first pid namespace does.
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
