//! Which descriptors refer to which sockets, as of one pass.

use super::proc;

/// Sorted by inode: sixteen bytes a descriptor, and no allocation of its own for any.
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
    /// What a pass would have found, as inode, process and descriptor.
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

    /// Reads the descriptors of these processes. `around` is to call its second argument, which reads
    /// one and says how many sockets it has.
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

    /// Reads one process again.
    pub fn read_process(&mut self, pid: u32) {
        self.entries.retain(|entry| entry.pid != pid);
        self.add(pid);
        self.sort();
    }

    /// How many descriptors it knows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every process in it, some more than once.
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

    /// How many sockets the process has.
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

        let mut table = Table::of_all_processes();
        let here = |table: &Table| table.holders(inode).collect::<Vec<_>>();
        let (pid, fd) = (std::process::id(), listener.as_raw_fd() as u32);
        assert_eq!(here(&table), [(pid, fd)]);
        assert!(proc::holds(pid, fd, inode));
        assert!(!proc::holds_fixed(pid, inode));

        // Read again, it is there once.
        table.read_process(pid);
        assert_eq!(here(&table), [(pid, fd)]);

        drop(listener);
        table.read_process(pid);
        assert!(here(&table).is_empty());
        assert!(!proc::holds(pid, fd, inode));
    }
}
