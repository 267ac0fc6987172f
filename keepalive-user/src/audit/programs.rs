//! Which program a process is, read from /proc: only for processes with findings.

use std::{fs, io, path::Path};

use super::apps::Program;
use crate::{event::Process, host_files};

/// Bytes of /proc/PID/maps that are searched: as many mappings as the kernel allows by default (65,530) fit.
const MAPS_MAX: u64 = 16 << 20;

/// What /proc tells of a process. What cannot be read stays empty: the process has ended, or katrace may not read it.
pub fn identify(process: &Process) -> Program {
    let proc = format!("/proc/{}", process.pid);
    let path = fs::read_link(format!("{proc}/exe")).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let maps = host_files::open(Path::new(&format!("{proc}/maps")));
    Program {
        comm: process.comm.to_string(),
        // The kernel adds this to the path of an executable that was replaced while it runs.
        exe: name.trim_end_matches(" (deleted)").to_owned(),
        libpq: maps.and_then(maps_libpq).unwrap_or(false),
        // The Go linker writes its build information into a section of this name.
        go: host_files::has_section(Path::new(&format!("{proc}/exe")), ".go.buildinfo"),
    }
}

/// Whether PostgreSQL's client library is among the mapped files. A path may hold any bytes.
fn maps_libpq(maps: impl io::Read) -> io::Result<bool> {
    host_files::contains(maps, b"/libpq.so", MAPS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_path_that_is_no_utf_8_hides_no_library() {
        let before = b"7f0000000000-7f0000001000 r-xp 00000000 08:01 1  /opt/caf\xe9/lib.so\n";
        let library = b"7f0000002000-7f0000003000 r-xp 00000000 08:01 2  /usr/lib/libpq.so.5.15\n";
        let both = [&before[..], &library[..]].concat();
        assert!(maps_libpq(&both[..]).unwrap());
        assert!(!maps_libpq(&before[..]).unwrap());
    }

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
