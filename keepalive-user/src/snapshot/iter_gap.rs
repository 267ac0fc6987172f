//! Connections that the kernel's iterator over TCP sockets may skip.
//!
//! Since 5.15 `tcp_seek_last_pos` (net/ipv4/tcp_ipv4.c) finds its way back to the last socket by counting down within
//! a bucket. After the last listener it goes on in the table of connections, but with a count below zero. It then
//! skips the whole first bucket that holds connections, if that bucket has the same number as the last bucket of
//! listeners, which is mostly 0. sock_diag reads the same table with other code, so it shows what was skipped.

use std::collections::HashSet;

use super::{
    diag::{Diag, DiagSocket},
    raw_socket::{Key, RawSocket},
};

/// Connections of each family that are looked at: far more than one bucket holds.
const MAX: usize = 64;

/// Connections that sock_diag has listed and the iterator has not shown yet.
pub struct NotShown(HashSet<Key>);

/// The first connections in the table of the calling thread's namespace. None where the kernel has no sock_diag: then
/// a skipped connection goes unseen.
pub fn first_connections(netns: u32) -> Vec<DiagSocket> {
    Diag::first_connections(netns, MAX).unwrap_or_default()
}

impl NotShown {
    /// All of `found`: the iterator has not begun.
    pub fn new(found: &[DiagSocket]) -> Self {
        Self(found.iter().map(|found| found.socket.key()).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The iterator has shown this one.
    pub fn shown(&mut self, socket: &RawSocket) {
        if !self.0.is_empty() {
            self.0.remove(&socket.key());
        }
    }

    /// The skipped connections: they existed before the iterator began and exist `after` it has ended, and it did not
    /// show them.
    pub fn skipped(self, after: Vec<DiagSocket>) -> impl Iterator<Item = DiagSocket> {
        after
            .into_iter()
            .filter(move |found| self.0.contains(&found.socket.key()))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::raw_socket::tests::raw_socket, *};

    fn at(port: u16) -> RawSocket {
        let mut socket = raw_socket();
        socket.local.set_port(port);
        socket
    }

    fn found(ports: &[u16]) -> Vec<DiagSocket> {
        let of = |port: &u16| DiagSocket {
            socket: at(*port),
            cgroup: None,
        };
        ports.iter().map(of).collect()
    }

    #[test]
    fn skipped_is_what_stayed_and_was_not_shown() {
        let mut not_shown = NotShown::new(&found(&[1, 2, 3, 5]));
        not_shown.shown(&at(2));
        not_shown.shown(&at(9));
        // 3 was closed meanwhile, 4 opened.
        let ports: Vec<u16> = not_shown
            .skipped(found(&[5, 4, 2, 1]))
            .map(|found| found.socket.local.port())
            .collect();
        assert_eq!(ports, [5, 1]);
    }
}
