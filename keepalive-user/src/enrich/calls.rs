//! The call that received an error. The kernel functions on its stack tell which call it was.

use crate::{
    cache::Cache,
    event::{Call, Kind},
};

/// Addresses remembered: a kernel has few places from which a socket is unlocked.
const MOST: usize = 1024;

/// The functions that stand for a call, in the order of a call into the kernel; the innermost that
/// is known decides. From net/ipv4, net/socket.c and fs/splice.c.
const FUNCTIONS: [(&str, Call); 18] = [
    ("tcp_recvmsg", Call::Recv),
    ("tcp_sendmsg", Call::Send),
    ("tcp_splice_read", Call::Splice),
    ("tcp_sendpage", Call::Sendfile),
    ("inet_stream_connect", Call::Connect),
    ("inet_recvmsg", Call::Recv),
    ("inet6_recvmsg", Call::Recv),
    ("sock_recvmsg", Call::Recv),
    ("inet_sendmsg", Call::Send),
    ("inet6_sendmsg", Call::Send),
    ("sock_sendmsg", Call::Send),
    ("sock_read_iter", Call::Recv),
    ("sock_write_iter", Call::Send),
    ("sock_splice_read", Call::Splice),
    ("inet_sendpage", Call::Sendfile),
    ("kernel_sendpage", Call::Sendfile),
    ("sock_sendpage", Call::Sendfile),
    ("__sys_connect_file", Call::Connect),
];

/// The calls that addresses stand for, as far as they were looked up. Nothing here reads a file or asks the kernel.
#[derive(Debug)]
pub struct Calls(Cache<u64, Option<Call>>);

impl Default for Calls {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl Calls {
    /// The addresses whose functions must be known to name the call of an error received.
    pub fn unknown(&self, kind: &Kind, stack: &[u64]) -> Vec<u64> {
        if !matches!(kind, Kind::Noticed { call: None, .. }) {
            return Vec::new();
        }
        let addresses = stack.iter().filter(|address| **address != 0);
        addresses
            .filter(|address| !self.0.contains(address))
            .copied()
            .collect()
    }

    /// Takes in the functions that addresses are in.
    pub fn learn(&mut self, named: Vec<(u64, Option<String>)>) {
        for (address, name) in named {
            self.0.insert(address, name.as_deref().and_then(call));
        }
    }

    /// Names the call of an error received, if only the stack tells it. The innermost function that stands for
    /// a call decides.
    pub fn name(&mut self, kind: &mut Kind, stack: &[u64]) {
        if let Kind::Noticed { call, .. } = kind
            && call.is_none()
        {
            *call = stack
                .iter()
                .find_map(|address| self.0.get(address).copied().flatten());
        }
    }
}

/// Compilers split functions into parts and add a suffix to their names.
fn call(function: &str) -> Option<Call> {
    let whole = function.split('.').next()?;
    FUNCTIONS
        .iter()
        .find(|(name, _)| *name == whole)
        .map(|(_, call)| *call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Errno, Process};

    #[test]
    fn parts_of_a_function_are_the_function() {
        assert_eq!(call("tcp_recvmsg"), Some(Call::Recv));
        assert_eq!(call("tcp_recvmsg.cold"), Some(Call::Recv));
        assert_eq!(call("tcp_recvmsg_locked"), None);
        assert_eq!(call("inet_stream_connect"), Some(Call::Connect));
        assert_eq!(call(""), None);
    }

    fn noticed(call: Option<Call>) -> Kind {
        Kind::Noticed {
            errno: Errno(110),
            call,
            process: Process {
                pid: 1,
                comm: "p".into(),
                details: None,
            },
            tid: 1,
            delay_ms: 0.0,
        }
    }

    fn named(calls: &mut Calls, stack: &[u64]) -> Option<Call> {
        let mut kind = noticed(None);
        calls.name(&mut kind, stack);
        match kind {
            Kind::Noticed { call, .. } => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_innermost_known_function_decides() {
        let mut calls = Calls::default();
        calls.learn(vec![
            (1, Some("release_sock".into())),
            (2, Some("sock_splice_read".into())),
            (3, Some("tcp_sendmsg".into())),
            (4, None),
        ]);
        assert_eq!(named(&mut calls, &[1, 2, 3, 0]), Some(Call::Splice));
        assert_eq!(named(&mut calls, &[4, 3, 2, 0]), Some(Call::Send));
        assert_eq!(named(&mut calls, &[1, 0, 0]), None);
        assert_eq!(named(&mut calls, &[0; 4]), None);
    }

    #[test]
    fn only_what_is_not_known_is_asked_for() {
        let mut calls = Calls::default();
        calls.learn(vec![(1, None)]);
        assert_eq!(calls.unknown(&noticed(None), &[1, 2, 3, 0, 0]), [2, 3]);
        assert!(calls.unknown(&noticed(Some(Call::Recv)), &[2]).is_empty());
        let mut told = noticed(Some(Call::Recv));
        calls.learn(vec![(9, Some("tcp_sendmsg".into()))]);
        calls.name(&mut told, &[9]);
        assert_eq!(told, noticed(Some(Call::Recv)));
    }
}
