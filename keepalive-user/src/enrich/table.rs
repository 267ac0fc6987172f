//! Which descriptors refer to which sockets, as of one pass.

use std::sync::Arc;

use super::proc;
use crate::{decode::Evidence, event::Process};

/// A process as /proc shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub pid: u32,
    /// Clock ticks after boot: with the pid, an identity.
    pub start_ticks: u64,
    pub comm: Arc<str>,
}

impl Known {
    /// The same process as the kernel half saw, not a later one with its pid.
    pub fn is(&self, evidence: &Evidence) -> bool {
        self.pid == evidence.pid && self.start_ticks == proc::ticks(evidence.start_ns)
    }

    pub fn process(&self) -> Process {
        Process {
            pid: self.pid,
            comm: self.comm.clone(),
        }
    }
}

/// Sorted by inode: sixteen bytes a descriptor, and no allocation of its own for any.
#[derive(Debug, Default)]
pub struct Table {
    processes: Vec<Known>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    inode: u64,
    /// Index in `processes`.
    process: u32,
    fd: u32,
}

impl Table {
    /// What a pass would have found.
    #[cfg(test)]
    pub fn of(found: &[(Known, &[(u64, u32)])]) -> Self {
        let mut table = Self::default();
        for (process, (known, sockets)) in (0..).zip(found) {
            table.processes.push(known.clone());
            table
                .entries
                .extend(sockets.iter().map(|(inode, fd)| Entry {
                    inode: *inode,
                    process,
                    fd: *fd,
                }));
        }
        table.sort();
        table
    }

    /// Reads the descriptors of every process.
    pub fn of_all_processes() -> Self {
        let mut table = Self::default();
        for pid in proc::pids() {
            table.add(pid);
        }
        table.sort();
        table
    }

    /// Reads one process again; false if it shows no socket.
    pub fn read_process(&mut self, pid: u32) -> bool {
        let processes = &self.processes;
        self.entries.retain(|entry| {
            processes
                .get(entry.process as usize)
                .is_none_or(|known| known.pid != pid)
        });
        let found = self.add(pid);
        self.sort();
        found
    }

    /// How many descriptors it knows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The holders of a socket, by process and descriptor.
    pub fn holders(&self, inode: u64) -> impl Iterator<Item = (&Known, u32)> {
        let first = self.entries.partition_point(|entry| entry.inode < inode);
        self.entries
            .iter()
            .skip(first)
            .take_while(move |entry| entry.inode == inode)
            .filter_map(|entry| Some((self.processes.get(entry.process as usize)?, entry.fd)))
    }

    fn add(&mut self, pid: u32) -> bool {
        let process = self.processes.len() as u32;
        let before = self.entries.len();
        proc::sockets(pid, |inode, fd| {
            self.entries.push(Entry { inode, process, fd })
        });
        if self.entries.len() == before {
            return false;
        }
        match proc::identify(pid) {
            Some(known) => {
                self.processes.push(known);
                true
            }
            None => {
                // It exited while it was read.
                self.entries.truncate(before);
                false
            }
        }
    }

    fn sort(&mut self) {
        self.entries.sort_unstable();
        self.entries.dedup();
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd, os::linux::fs::MetadataExt};

    use super::*;

    #[test]
    fn finds_a_socket_of_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let path = format!("/proc/self/fd/{}", listener.as_raw_fd());
        let inode = std::fs::metadata(path).unwrap().st_ino();

        let mut table = Table::of_all_processes();
        let here = |table: &Table| {
            table
                .holders(inode)
                .map(|(known, fd)| (known.pid, fd))
                .collect::<Vec<_>>()
        };
        let expected = vec![(std::process::id(), listener.as_raw_fd() as u32)];
        assert_eq!(here(&table), expected);

        // Read again, it is there once.
        assert!(table.read_process(std::process::id()));
        assert_eq!(here(&table), expected);

        drop(listener);
        table.read_process(std::process::id());
        assert!(here(&table).is_empty());
    }
}
