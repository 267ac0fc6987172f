//! Who receives the error of a dead connection, and who uses a socket that several processes hold.
//!
//! The kernel hands an error out once (`sock_error` swaps `sk_err` for 0), to the call that asks first.
//! A call that does so on a locked socket unlocks it next, with `release_sock` (net/core/sock.c), in the
//! caller's context. On every kernel receiving, sending, connecting and splicing all pass there. A hook
//! on the return of those calls would miss the calls that were asleep when katrace began. The return
//! addresses on the stack tell which call it was.
//!
//! It has a re-entrancy guard: on a busy 7.3 guest sixteen runs were skipped in one run of the scenarios.
//! `tcp_release_cb`, which `release_sock` calls with the socket's spinlock held, would need none, but 7.x
//! calls it only where there is work for it.
//!
//! Without trampolines, `sock:sock_recv_length` and `sock_send_length` (6.3 and later, raw) run at the end
//! of every receive and send, those of io_uring too, and have the result.
//!
//! getsockopt takes no lock. It is hooked at its entry: it hands over what is pending then.
//!
//! For an ordinary call on a socket without keepalive, the program and its guard do two loads and two
//! comparisons each. With keepalive and one holder they do five loads each.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext,
    macros::{fentry, raw_tracepoint},
    programs::{FEntryContext, RawTracePointContext},
};
use keepalive_ebpf::wire::call;

use crate::{
    emit,
    kernel::{
        Sock, TrustedSock,
        memory::{config, word},
        state,
    },
    state::{last_users, socket_state},
};

/// Of the generic Linux ABI.
const EAGAIN: i32 = 11;
const SOL_SOCKET: u32 = 1;
const SO_ERROR: u32 = 4;

#[fentry(function = "release_sock")]
pub fn noticed_release_fentry(ctx: FEntryContext) -> u32 {
    released(&ctx)
}

/// The re-entrancy guard.
#[fentry(function = "release_sock")]
pub fn noticed_release_fentry_guard(ctx: FEntryContext) -> u32 {
    released(&ctx)
}

#[inline(always)]
fn released(ctx: &FEntryContext) -> u32 {
    let trusted = TrustedSock::of(ctx);
    let is_shared = trusted.is_keepopen() && !trusted.has_one_reference();
    let is_closed = trusted.state() == state::CLOSE;
    // This is so for by far the most calls.
    if !is_shared && !is_closed {
        return 0;
    }
    let sock = Sock(word(ctx.as_ptr(), 0));
    if is_shared {
        last_users::note_use(sock);
    }
    // It is dead and its error is gone: the task that has the lock took it.
    if is_closed && sock.is_tcp() && sock.err() == 0 {
        receives(sock, 0, call::BY_STACK, ctx.as_ptr());
    }
    0
}

#[raw_tracepoint(tracepoint = "sock_recv_length")]
pub fn noticed_recv(ctx: RawTracePointContext) -> i32 {
    let result = ctx.arg::<u64>(1) as i32;
    returned(Sock(ctx.arg(0)), result, call::RECV, ctx.as_ptr());
    0
}

#[raw_tracepoint(tracepoint = "sock_send_length")]
pub fn noticed_send(ctx: RawTracePointContext) -> i32 {
    let result = ctx.arg::<u64>(1) as i32;
    returned(Sock(ctx.arg(0)), result, call::SEND, ctx.as_ptr());
    0
}

#[fentry(function = "sk_getsockopt")]
pub fn getsockopt_fentry(ctx: FEntryContext) -> u32 {
    if ctx.arg::<u64>(1) as u32 != SOL_SOCKET || ctx.arg::<u64>(2) as u32 != SO_ERROR {
        return 0;
    }
    let mut sock = Sock(word(ctx.as_ptr(), 0));
    if config!(getsockopt_of_socket) != 0 {
        sock = Sock::of_socket(sock.0);
    }
    let err = sock.err();
    if err != 0 {
        receives(sock, err, call::GETSOCKOPT, ctx.as_ptr());
    }
    0
}

/// A call on the socket ends.
#[inline(always)]
fn returned(sock: Sock, result: i32, by: u8, ctx: *mut c_void) {
    if sock.is_keepopen() {
        last_users::note_use(sock);
    }
    // EAGAIN is by far the most frequent failure: there is nothing to receive yet.
    if result >= 0 || result == -EAGAIN {
        return;
    }
    // If an error is still pending, it is not the one that was received.
    if sock.err() == 0 {
        receives(sock, result.unsigned_abs(), by, ctx);
    }
}

/// The current task receives `err`. If that is 0, it receives the error of which the connection died.
#[inline(always)]
fn receives(sock: Sock, err: u32, by: u8, ctx: *mut c_void) {
    if let Some(state) = socket_state::get(sock)
        && state.died_ns != 0
    {
        let died_ns = state.died_ns;
        // The kernel hands the error out once.
        state.died_ns = 0;
        emit::noticed(state.inode, died_ns, err, by, ctx);
    }
}
