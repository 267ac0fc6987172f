//! The beginning and the end of connections.
//!
//! `sock:inet_sock_set_state` (4.16 and later) runs in the caller's context where a process acts: connect
//! sets SYN_SENT; the close of the last descriptor sets FIN_WAIT1 or LAST_ACK while the socket still has
//! its file. This is a program of its own, apart from the deaths. The kernel skips a program that
//! interrupts itself on one CPU, and a death in softirq must not be skipped because a process was
//! connecting.
//!
//! `tcp:tcp_destroy_sock` (4.16 and later) is the end of every full TCP socket. It comes before the
//! kernel gives the memory to another.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use keepalive_ebpf::wire::owner_from;

use crate::{
    emit,
    kernel::{Sock, state},
    state::{last_users, socket_state},
};

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn lifetime_set_state(ctx: RawTracePointContext) -> i32 {
    changed(&ctx)
}

/// Without this guard, the owner of a connecting socket could be missed.
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn lifetime_set_state_guard(ctx: RawTracePointContext) -> i32 {
    changed(&ctx)
}

#[inline(always)]
fn changed(ctx: &RawTracePointContext) -> i32 {
    let sock = Sock(ctx.arg(0));
    match ctx.arg::<u32>(2) as u8 {
        state::SYN_SENT if sock.is_tcp() => socket_state::note_owner(sock, owner_from::CONNECT),
        state::FIN_WAIT1 | state::LAST_ACK if sock.is_tcp() => socket_state::note_close(sock),
        // A passive open: an entry at this address belongs to an earlier socket.
        state::SYN_RECV => socket_state::forget(sock),
        _ => {}
    }
    0
}

#[raw_tracepoint(tracepoint = "tcp_destroy_sock")]
pub fn lifetime_destroy(ctx: RawTracePointContext) -> i32 {
    let sock = Sock(ctx.arg(0));
    last_users::forget(sock);
    if let Some(state) = socket_state::get(sock) {
        if state.told != 0 {
            // The user half may forget what it was told of the socket.
            emit::ended(state.inode);
        }
        socket_state::forget(sock);
    }
    0
}
