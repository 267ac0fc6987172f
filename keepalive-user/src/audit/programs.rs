//! Which program a process is, read from /proc: only for processes with findings.

use std::{fs, fs::File};

use memmap2::Mmap;
use object::{Object, read::File as Elf};

use super::apps::Program;
use crate::event::Process;

/// What /proc tells of a process. What cannot be read is empty: the process is gone, or hides it.
pub fn identify(process: &Process) -> Program {
    let proc = format!("/proc/{}", process.pid);
    let path = fs::read_link(format!("{proc}/exe")).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let maps = fs::read_to_string(format!("{proc}/maps")).unwrap_or_default();
    Program {
        comm: process.comm.to_string(),
        // The kernel marks an executable that was replaced while it runs.
        exe: name.trim_end_matches(" (deleted)").to_owned(),
        libpq: maps.lines().any(|line| line.contains("/libpq.so")),
        go: is_go(&format!("{proc}/exe")),
    }
}

/// The Go linker leaves its build information in a section of its own.
fn is_go(exe: &str) -> bool {
    let Ok(file) = File::open(exe) else {
        return false;
    };
    // SAFETY: the mapping is read-only and private, and lives as long as this function. Another
    // process could shorten the file, which would end this one by SIGBUS; but the file is executed
    // at this moment, and the kernel refuses to change an executable in use (ETXTBSY).
    let Ok(bytes) = (unsafe { Mmap::map(&file) }) else {
        return false;
    };
    Elf::parse(&*bytes).is_ok_and(|elf| elf.section_by_name(".go.buildinfo").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_named_by_its_executable() {
        let me = Process {
            pid: std::process::id(),
            comm: "whatever".into(),
            details: None,
        };
        let program = identify(&me);
        assert!(program.exe.starts_with("katrace-"), "{program:?}");
        assert_eq!(program.comm, "whatever");
        assert!(!program.go && !program.libpq);
        let nobody = Process {
            pid: u32::MAX,
            comm: "x".into(),
            details: None,
        };
        assert_eq!(identify(&nobody).exe, "");
    }
}
