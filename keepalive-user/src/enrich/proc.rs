//! What /proc says of sockets and of the processes that hold them.

use std::{
    ffi::CStr,
    fs::File,
    io::{BufRead, BufReader, Read},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use procfs::process::Process;
use rustix::{
    fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw},
    param::clock_ticks_per_second,
};

use super::cgroup;
use crate::event::Details;

/// What /proc/PID/stat says of a process.
pub struct Stat {
    /// Clock ticks after boot.
    pub start_ticks: u64,
    /// The name of its main thread.
    pub comm: String,
    /// The pid of its parent.
    pub ppid: u32,
}

/// Thread groups of katrace's pid namespace at this moment.
pub fn pids() -> Vec<u32> {
    let mut pids = Vec::new();
    each_number("/proc", |_, _, pid| pids.push(pid));
    pids
}

/// Hands over the inode and the descriptor of every socket that a process holds. There are none for a
/// process that exits meanwhile or hides its descriptors.
pub fn sockets(pid: u32, mut each: impl FnMut(u64, u32)) {
    each_number(&format!("/proc/{pid}/fd"), |directory, name, fd| {
        if let Some(inode) = link(directory, name, socket_inode) {
            each(inode, fd);
        }
    });
}

/// Whether the process holds this socket by this descriptor at this moment.
pub fn holds(pid: u32, fd: u32, inode: u64) -> bool {
    // Cannot fail: digits have no NUL.
    let Ok(path) = std::ffi::CString::new(format!("/proc/{pid}/fd/{fd}")) else {
        return false;
    };
    link(CWD, &path, socket_inode) == Some(inode)
}

/// The sockets that a process holds as fixed files of its io_urings, where the kernel tells those: fdinfo
/// names them by their path since 6.7. Sorted.
pub fn fixed_sockets(pid: u32) -> Vec<u64> {
    let mut rings = Vec::new();
    each_number(&format!("/proc/{pid}/fd"), |directory, name, fd| {
        let is_ring = |target: &[u8]| (target == b"anon_inode:[io_uring]").then_some(());
        if link(directory, name, is_ring).is_some() {
            rings.push(fd);
        }
    });
    let mut sockets = Vec::new();
    for fd in rings {
        if let Ok(file) = File::open(format!("/proc/{pid}/fdinfo/{fd}")) {
            let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
            sockets.extend(lines.filter_map(|line| {
                // The path is the last word of a line.
                socket_inode(line.rsplit(|byte| *byte == b' ').next()?)
            }));
        }
    }
    sockets.sort_unstable();
    sockets
}

/// The start and the name of a process; `None` if it has ended.
pub fn stat(pid: u32) -> Option<Stat> {
    let stat = Process::new(i32::try_from(pid).ok()?)
        .and_then(|process| process.stat())
        .ok()?;
    Some(Stat {
        start_ticks: stat.starttime,
        comm: stat.comm,
        ppid: u32::try_from(stat.ppid).unwrap_or(0),
    })
}

/// The rest that is told of a process. What cannot be read is left out; `None` if it has ended.
pub fn details(pid: u32, ppid: u32) -> Option<Details> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    Some(Details {
        ppid,
        uid: process.uid().ok()?,
        exe: process
            .exe()
            .ok()
            .map(|path| path.to_string_lossy().into_owned()),
        cmdline: cmdline(pid),
        place: std::fs::read(format!("/proc/{pid}/cgroup"))
            .ok()
            .and_then(|text| cgroup::place(&text)),
    })
}

/// No more is read than is kept: a command line may be megabytes long.
fn cmdline(pid: u32) -> Option<String> {
    let mut bytes = Vec::with_capacity(Details::CMDLINE_MAX);
    File::open(format!("/proc/{pid}/cmdline"))
        .ok()?
        .take(Details::CMDLINE_MAX as u64)
        .read_to_end(&mut bytes)
        .ok()?;
    let text = bytes.trim_ascii_end();
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    let words = String::from_utf8_lossy(text).replace('\0', " ");
    (!words.is_empty()).then_some(words)
}

/// Boot-time nanoseconds in the unit of /proc/PID/stat.
pub fn ticks(boottime_ns: u64) -> u64 {
    boottime_ns / (1_000_000_000 / clock_ticks_per_second().max(1))
}

/// Calls `each` with the directory, the name and the number of every entry that is a number.
fn each_number(path: &str, mut each: impl FnMut(&OwnedFd, &CStr, u32)) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = openat(CWD, path, flags, Mode::empty()) else {
        return;
    };
    let mut buffer = [MaybeUninit::<u8>::uninit(); 8192];
    let mut entries = RawDir::new(&directory, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        if let Some(number) = number(name.to_bytes()) {
            each(&directory, name, number);
        }
    }
}

/// What `read` makes of a link's target. `None` also for a target longer than 63 bytes: no socket's is.
fn link<T>(directory: impl AsFd, name: &CStr, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let mut text = [MaybeUninit::<u8>::uninit(); 64];
    let (target, _) = readlinkat_raw(directory, name, &mut text).ok()?;
    read(target)
}

/// `socket:[12345]`.
fn socket_inode(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn number(name: &[u8]) -> Option<u32> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_targets() {
        assert_eq!(socket_inode(b"socket:[12345]"), Some(12345));
        assert_eq!(socket_inode(b"socket:[]"), None);
        assert_eq!(socket_inode(b"pipe:[12345]"), None);
        assert_eq!(socket_inode(b"/tmp/socket:[1]"), None);
        assert_eq!(socket_inode(b"socket:[99999999999999999999]"), None);
    }

    #[test]
    fn this_process_is_among_them() {
        assert!(pids().contains(&std::process::id()));
        let known = stat(std::process::id()).unwrap();
        assert!(known.start_ticks > 0);
        assert!(stat(u32::MAX).is_none());
        let details = details(std::process::id(), known.ppid).unwrap();
        assert_eq!(details.ppid, std::os::unix::process::parent_id());
        let exe = std::env::current_exe().unwrap();
        assert_eq!(details.exe.as_deref(), exe.to_str());
        let argument = std::env::args().next().unwrap();
        assert!(details.cmdline.unwrap().starts_with(&argument));
        assert!(details.place.is_some());
    }
}
