//! Which descriptors refer to which sockets, as one pass over all descriptors found them.

use super::proc;

/// One entry a descriptor, sorted by inode. An entry takes sixteen bytes.
#[derive(Debug, Default)]
pub struct Table {
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    inode: u64,
    pid: u32,
    fd: u32,
}

impl Table {
    /// A table of what was found: inode, process and descriptor.
    pub fn of(found: impl IntoIterator<Item = (u64, u32, u32)>) -> Self {
        let mut table = Self {
            entries: found
                .into_iter()
                .map(|(inode, pid, fd)| Entry { inode, pid, fd })
                .collect(),
        };
        table.sort();
        table
    }

    /// Reads the descriptors of every process.
    pub fn of_all_processes() -> Self {
        Self::of_processes(proc::pids(), |pid, read| {
            read(pid);
        })
    }

    /// Reads the descriptors of these processes. `around` calls its second argument, which reads one process
    /// and returns how many sockets it has.
    pub fn of_processes(
        pids: impl IntoIterator<Item = u32>,
        mut around: impl FnMut(u32, &mut dyn FnMut(u32) -> usize),
    ) -> Self {
        let mut table = Self::default();
        for pid in pids {
            around(pid, &mut |pid| table.add(pid));
        }
        table.sort();
        table
    }

    /// Every process in the table, some more than once.
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        let mut last = 0;
        self.entries.iter().filter_map(move |entry| {
            let is_new = entry.pid != last;
            last = entry.pid;
            is_new.then_some(entry.pid)
        })
    }

    /// The holders of a socket, by process and descriptor.
    pub fn holders(&self, inode: u64) -> impl Iterator<Item = (u32, u32)> {
        let first = self.entries.partition_point(|entry| entry.inode < inode);
        self.entries
            .iter()
            .skip(first)
            .take_while(move |entry| entry.inode == inode)
            .map(|entry| (entry.pid, entry.fd))
    }

    /// Reads one process; returns how many sockets it has.
    fn add(&mut self, pid: u32) -> usize {
        let before = self.entries.len();
        proc::sockets(pid, |inode, fd| {
            self.entries.push(Entry { inode, pid, fd });
        });
        self.entries.len() - before
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

        let table = Table::of_all_processes();
        let here = |table: &Table| table.holders(inode).collect::<Vec<_>>();
        let (pid, fd) = (std::process::id(), listener.as_raw_fd() as u32);
        assert_eq!(here(&table), [(pid, fd)]);
        assert!(proc::holds(pid, fd, inode));
        assert!(!proc::fixed_sockets(pid).contains(&inode));

        drop(listener);
        assert!(!proc::holds(pid, fd, inode));
    }
}
