//! Which call an error was received in, told by the kernel functions on its stack.

use std::collections::HashMap;

use crate::{
    event::{Call, Kind},
    source,
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

/// What was found out of addresses so far.
#[derive(Debug, Default)]
pub struct Calls(HashMap<u64, Option<Call>>);

impl Calls {
    /// Names the call of an error received, if only the stack tells it.
    pub fn name(&mut self, kind: &mut Kind, stack: &[u64]) {
        if let Kind::Noticed { call, .. } = kind
            && call.is_none()
        {
            *call = self.of(stack);
        }
    }

    fn of(&mut self, stack: &[u64]) -> Option<Call> {
        let unknown: Vec<u64> = stack
            .iter()
            .filter(|address| **address != 0 && !self.0.contains_key(address))
            .copied()
            .collect();
        if !unknown.is_empty() {
            if self.0.len() >= MOST {
                self.0.clear();
            }
            let names = source::names_of(&unknown);
            for (address, name) in unknown.into_iter().zip(names) {
                self.0.insert(address, name.as_deref().and_then(call));
            }
        }
        stack
            .iter()
            .find_map(|address| self.0.get(address).copied().flatten())
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

    #[test]
    fn parts_of_a_function_are_the_function() {
        assert_eq!(call("tcp_recvmsg"), Some(Call::Recv));
        assert_eq!(call("tcp_recvmsg.cold"), Some(Call::Recv));
        assert_eq!(call("tcp_recvmsg_locked"), None);
        assert_eq!(call("inet_stream_connect"), Some(Call::Connect));
        assert_eq!(call(""), None);
    }

    #[test]
    fn the_innermost_known_function_decides() {
        let known = [(1, None), (2, Some(Call::Splice)), (3, Some(Call::Send))];
        let mut calls = Calls(known.into());
        assert_eq!(calls.of(&[1, 2, 3, 0]), Some(Call::Splice));
        assert_eq!(calls.of(&[1, 3, 2, 0]), Some(Call::Send));
        assert_eq!(calls.of(&[1, 0, 0]), None);
        assert_eq!(calls.of(&[0; 4]), None);
    }
}
