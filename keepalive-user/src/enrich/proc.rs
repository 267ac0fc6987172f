//! /proc, as far as sockets and their holders go.

use std::{
    ffi::CStr,
    fs::File,
    io::Read,
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

/// A process at one moment.
pub struct Identity {
    /// Clock ticks after boot: with the pid, an identity.
    pub start_ticks: u64,
    pub comm: String,
    pub ppid: u32,
}

/// Thread groups of katrace's pid namespace at this moment.
pub fn pids() -> Vec<u32> {
    let mut pids = Vec::new();
    each_number("/proc", |_, _, pid| pids.push(pid));
    pids
}

/// Hands over the inode and descriptor of every socket that a process holds. A process that exits
/// meanwhile, or hides its descriptors, has none.
pub fn sockets(pid: u32, mut each: impl FnMut(u64, u32)) {
    each_number(&format!("/proc/{pid}/fd"), |directory, name, fd| {
        if let Some(inode) = link(directory, name, socket_inode) {
            each(inode, fd);
        }
    });
}

/// The process holds this socket by this descriptor at this moment.
pub fn holds(pid: u32, fd: u32, inode: u64) -> bool {
    // Cannot fail: digits have no NUL.
    let Ok(path) = std::ffi::CString::new(format!("/proc/{pid}/fd/{fd}")) else {
        return false;
    };
    link(CWD, &path, socket_inode) == Some(inode)
}

/// The process holds this socket as a fixed file of an io_uring, where the kernel tells those
/// (fdinfo names them by their path since 6.7).
pub fn holds_fixed(pid: u32, inode: u64) -> bool {
    let mut rings = Vec::new();
    each_number(&format!("/proc/{pid}/fd"), |directory, name, fd| {
        if link(directory, name, |target| {
            (target == b"anon_inode:[io_uring]").then_some(())
        })
        .is_some()
        {
            rings.push(fd);
        }
    });
    let wanted = format!("socket:[{inode}]");
    rings.iter().any(|fd| {
        std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}"))
            .is_ok_and(|text| text.lines().any(|line| line.ends_with(&wanted)))
    })
}

/// The identity and name of a running process.
pub fn identify(pid: u32) -> Option<Identity> {
    let stat = Process::new(i32::try_from(pid).ok()?)
        .and_then(|process| process.stat())
        .ok()?;
    Some(Identity {
        start_ticks: stat.starttime,
        comm: stat.comm,
        ppid: u32::try_from(stat.ppid).unwrap_or(0),
    })
}

/// What else there is to say of it. What cannot be read is left out.
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

/// What `read` makes of a link's target; nothing if that is longer than any that matters.
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
        let known = identify(std::process::id()).unwrap();
        assert!(known.start_ticks > 0);
        assert!(identify(u32::MAX).is_none());
        let details = details(std::process::id(), known.ppid).unwrap();
        assert_eq!(details.ppid, std::os::unix::process::parent_id());
        let exe = std::env::current_exe().unwrap();
        assert_eq!(details.exe.as_deref(), exe.to_str());
        let argument = std::env::args().next().unwrap();
        assert!(details.cmdline.unwrap().starts_with(&argument));
        assert!(details.place.is_some());
    }
}
