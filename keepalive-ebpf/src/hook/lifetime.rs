//! Births and ends of connections, for what is remembered of them.
//!
//! `sock:inet_sock_set_state` (4.16 and later) runs in the caller's context where a process acts:
//! connect sets SYN_SENT, and the close of the last descriptor sets FIN_WAIT1 or LAST_ACK while the
//! socket still has its file. A program of its own, apart from the deaths: the kernel skips a
//! program that interrupts itself on one CPU, and a death in softirq must not be skipped because a
//! process was connecting. `tcp:tcp_destroy_sock` (4.16 and later) is the end of every full TCP
//! socket, before its memory can become another's.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use keepalive_ebpf::wire::owner_from;

use crate::{
    family,
    record::{Sock, state},
    track,
};

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn lifetime_set_state(ctx: RawTracePointContext) -> i32 {
    changed(&ctx)
}

/// The same once more, for the task that took the CPU from another one inside the first: the kernel
/// skips a program that is already running there, and would lose who connected. What the first has
/// done this one finds done.
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn lifetime_set_state_twin(ctx: RawTracePointContext) -> i32 {
    changed(&ctx)
}

#[inline(always)]
fn changed(ctx: &RawTracePointContext) -> i32 {
    let sock = Sock(ctx.arg(0));
    match ctx.arg::<u32>(2) as u8 {
        state::SYN_SENT if sock.is_tcp() => track::own(sock, owner_from::CONNECT),
        state::FIN_WAIT1 | state::LAST_ACK if sock.is_tcp() => track::close(sock),
        // A passive open: whatever had this address before is gone.
        state::SYN_RECV => track::end(sock),
        _ => {}
    }
    0
}

#[raw_tracepoint(tracepoint = "tcp_destroy_sock")]
pub fn lifetime_destroy(ctx: RawTracePointContext) -> i32 {
    let sock = Sock(ctx.arg(0));
    family::unshare(sock);
    track::end_and_tell(sock);
    0
}
