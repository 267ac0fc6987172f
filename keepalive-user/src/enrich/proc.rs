//! /proc, as far as sockets and their holders go.

use std::{ffi::CStr, mem::MaybeUninit, os::fd::OwnedFd};

use procfs::process::Process;
use rustix::{
    fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw},
    param::clock_ticks_per_second,
};

use super::table::Known;

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
        let mut text = [MaybeUninit::<u8>::uninit(); 64];
        if let Ok((target, _)) = readlinkat_raw(directory, name, &mut text)
            && let Some(inode) = socket_inode(target)
        {
            each(inode, fd);
        }
    });
}

/// The identity and name of a running process.
pub fn identify(pid: u32) -> Option<Known> {
    let stat = Process::new(i32::try_from(pid).ok()?)
        .and_then(|process| process.stat())
        .ok()?;
    Some(Known {
        pid,
        start_ticks: stat.starttime,
        comm: stat.comm.into(),
    })
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
    }
}
