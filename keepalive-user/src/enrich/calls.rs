//! The call that received an error. The kernel functions on its stack tell which call it was.

use std::ops::Range;

use crate::{
    event::{Call, Kind},
    source,
};

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

/// Where the code of [`FUNCTIONS`] is, sorted by address.
pub type Ranges = Vec<(Range<u64>, Call)>;

/// Asks the kernel where the functions are. It takes long, so no event waits for it in turn: it is done once, on
/// a thread of its own. Empty where the kernel hides its addresses.
pub fn read() -> Ranges {
    let names = FUNCTIONS.map(|(name, _)| name);
    let ranges = source::ranges_of(&names).into_iter();
    ranges
        .filter_map(|(range, at)| Some((range, FUNCTIONS.get(at)?.1)))
        .collect()
}

/// The calls that addresses stand for. Memory only.
#[derive(Debug, Default)]
pub struct Calls(Option<Ranges>);

impl Calls {
    /// Whether the call of an error received can be named only after [`Calls::learn`].
    pub fn is_unknown(&self, kind: &Kind) -> bool {
        self.0.is_none() && matches!(kind, Kind::Noticed { call: None, .. })
    }

    /// Takes in where the functions are.
    pub fn learn(&mut self, ranges: Ranges) {
        self.0 = Some(ranges);
    }

    /// Names the call of an error received, if only the stack tells it. The innermost function that stands for
    /// a call decides.
    pub fn name(&self, kind: &mut Kind, stack: &[u64]) {
        if let Kind::Noticed { call, .. } = kind
            && call.is_none()
        {
            *call = stack.iter().find_map(|address| self.of(*address));
        }
    }

    fn of(&self, address: u64) -> Option<Call> {
        let ranges = self.0.as_ref()?;
        let at = ranges.partition_point(|(range, _)| range.end <= address);
        let (range, call) = ranges.get(at)?;
        range.contains(&address).then_some(*call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Errno, Process};

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

    fn named(calls: &Calls, stack: &[u64]) -> Option<Call> {
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
        calls.learn(vec![(20..30, Call::Splice), (30..40, Call::Send)]);
        assert_eq!(named(&calls, &[1, 20, 39, 0]), Some(Call::Splice));
        assert_eq!(named(&calls, &[40, 30, 29, 0]), Some(Call::Send));
        assert_eq!(named(&calls, &[19, 40, 0]), None);
        assert_eq!(named(&calls, &[0; 4]), None);
    }

    #[test]
    fn a_call_that_the_hook_told_stays() {
        let mut calls = Calls::default();
        assert!(calls.is_unknown(&noticed(None)));
        assert!(!calls.is_unknown(&noticed(Some(Call::Recv))));
        calls.learn(vec![(20..30, Call::Send)]);
        assert!(!calls.is_unknown(&noticed(None)));
        let mut told = noticed(Some(Call::Recv));
        calls.name(&mut told, &[20]);
        assert_eq!(told, noticed(Some(Call::Recv)));
    }
}
