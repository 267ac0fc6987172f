//! Who receives the error of a dead connection, and who uses a socket that several hold.
//!
//! The kernel hands an error out once (`sock_error` swaps `sk_err` for 0), to the call that asks
//! first, and a call that does so on a locked socket unlocks it next: `release_sock`
//! (net/core/sock.c), in the caller's context, on every kernel, is where receiving, sending,
//! connecting and splicing all pass with the error in hand. A hook on the return of those calls would
//! miss the ones that were asleep in them before katrace began. Which call it was, the return
//! addresses tell.
//!
//! It has a twin, for the task that took the CPU from another one inside the first: the kernel skips a
//! program that is already running there. On a busy 7.3 guest that came to sixteen times in one run of
//! the scenarios. What the first has done the twin finds done. `tcp_release_cb`, which it calls with
//! the socket's spinlock held, would be safe from that, but 7.x calls it only where there is work for it.
//!
//! Without trampolines `sock:sock_recv_length` and `sock_send_length` (6.3 and later, raw) run at the
//! end of every receive and send, io_uring's too, with the result.
//!
//! getsockopt takes no lock. It is watched at its entry: it hands over what is pending then.
//!
//! An ordinary call on a socket without keepalive costs two loads and comparisons, done twice;
//! with keepalive and one holder it is five loads.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext,
    macros::{fentry, raw_tracepoint},
    programs::{FEntryContext, RawTracePointContext},
};
use keepalive_ebpf::wire::call;

use crate::{
    emit, family,
    mem::{config, read, word},
    record::{KnownSock, Sock, state},
    track,
};

/// Of the generic Linux ABI.
const EAGAIN: i32 = 11;
const SOL_SOCKET: u32 = 1;
const SO_ERROR: u32 = 4;

#[fentry(function = "release_sock")]
pub fn noticed_release_fentry(ctx: FEntryContext) -> u32 {
    released(&ctx)
}

#[fentry(function = "release_sock")]
pub fn noticed_release_fentry_twin(ctx: FEntryContext) -> u32 {
    released(&ctx)
}

#[inline(always)]
fn released(ctx: &FEntryContext) -> u32 {
    let known = KnownSock::of(ctx);
    let is_shared = known.is_keepopen() && !known.has_one_reference();
    let is_closed = known.state() == state::CLOSE;
    // By far the most calls.
    if !is_shared && !is_closed {
        return 0;
    }
    let sock = Sock(word(ctx.as_ptr(), 0));
    if is_shared {
        family::touch(sock);
    }
    // Dead, and its error is gone: whoever has the lock took it.
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
        sock = Sock(read!(sock.0, socket_sk));
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
        family::touch(sock);
    }
    // Nothing yet to receive, by far the most frequent failure.
    if result >= 0 || result == -EAGAIN {
        return;
    }
    // An error that is still pending was not the one received.
    if sock.err() == 0 {
        receives(sock, result.unsigned_abs(), by, ctx);
    }
}

/// The current task receives `err`, or if that is 0 what the connection died of.
#[inline(always)]
fn receives(sock: Sock, err: u32, by: u8, ctx: *mut c_void) {
    if let Some(tracked) = track::get(sock)
        && tracked.died_ns != 0
    {
        let died_ns = tracked.died_ns;
        // Handed out once.
        tracked.died_ns = 0;
        emit::noticed(tracked.inode, died_ns, err, by, ctx);
    }
}
