//! Who receives the error of a dead connection, and who uses a socket that several hold.
//!
//! The kernel hands an error out once (`sock_error` swaps `sk_err` for 0), to the call that asks
//! first. `sock:sock_recv_length` and `sock_send_length` (6.3 and later, raw) run at the end of every
//! receive and send, io_uring's too, in the caller's context and with the result; before 6.3 fexit on
//! `tcp_recvmsg` and `tcp_sendmsg` does the same. `inet_stream_connect`, `tcp_splice_read` and
//! `tcp_sendpage` (until 6.5) tell by fexit. getsockopt is watched at its entry: it hands over what
//! is pending then, and its own result says nothing.
//!
//! A call that succeeds on a socket with one holder costs a few reads and comparisons.

use aya_ebpf::{
    EbpfContext,
    macros::{fentry, fexit, raw_tracepoint},
    programs::{FEntryContext, FExitContext, RawTracePointContext},
};
use keepalive_ebpf::wire::call;

use crate::{
    emit, family,
    mem::{config, read, word},
    record::Sock,
    track,
};

/// Of the generic Linux ABI.
const EAGAIN: i32 = 11;
const SOL_SOCKET: u32 = 1;
const SO_ERROR: u32 = 4;

#[raw_tracepoint(tracepoint = "sock_recv_length")]
pub fn noticed_recv(ctx: RawTracePointContext) -> i32 {
    returned(Sock(ctx.arg(0)), ctx.arg::<u64>(1) as i32, call::RECV);
    0
}

#[raw_tracepoint(tracepoint = "sock_send_length")]
pub fn noticed_send(ctx: RawTracePointContext) -> i32 {
    returned(Sock(ctx.arg(0)), ctx.arg::<u64>(1) as i32, call::SEND);
    0
}

#[fexit(function = "tcp_recvmsg")]
pub fn noticed_recvmsg_fexit(ctx: FExitContext) -> u32 {
    let sock = Sock(word(ctx.as_ptr(), 0));
    returned(
        sock,
        word(ctx.as_ptr(), config!(recv_args)) as i32,
        call::RECV,
    );
    0
}

#[fexit(function = "tcp_sendmsg")]
pub fn noticed_sendmsg_fexit(ctx: FExitContext) -> u32 {
    let sock = Sock(word(ctx.as_ptr(), 0));
    returned(
        sock,
        word(ctx.as_ptr(), config!(send_args)) as i32,
        call::SEND,
    );
    0
}

#[fexit(function = "inet_stream_connect")]
pub fn noticed_connect_fexit(ctx: FExitContext) -> u32 {
    let sock = Sock(read!(word(ctx.as_ptr(), 0), socket_sk));
    returned(
        sock,
        word(ctx.as_ptr(), config!(connect_args)) as i32,
        call::CONNECT,
    );
    0
}

#[fexit(function = "tcp_splice_read")]
pub fn noticed_splice_fexit(ctx: FExitContext) -> u32 {
    let sock = Sock(read!(word(ctx.as_ptr(), 0), socket_sk));
    returned(
        sock,
        word(ctx.as_ptr(), config!(splice_args)) as i32,
        call::SPLICE,
    );
    0
}

#[fexit(function = "tcp_sendpage")]
pub fn noticed_sendpage_fexit(ctx: FExitContext) -> u32 {
    let sock = Sock(word(ctx.as_ptr(), 0));
    let result = word(ctx.as_ptr(), config!(sendfile_args)) as i32;
    returned(sock, result, call::SENDFILE);
    0
}

#[fentry(function = "sk_getsockopt")]
pub fn noticed_getsockopt_fentry(ctx: FEntryContext) -> u32 {
    if word(ctx.as_ptr(), 1) as u32 != SOL_SOCKET || word(ctx.as_ptr(), 2) as u32 != SO_ERROR {
        return 0;
    }
    let mut sock = Sock(word(ctx.as_ptr(), 0));
    if config!(getsockopt_of_socket) != 0 {
        sock = Sock(read!(sock.0, socket_sk));
    }
    let err = sock.err();
    if err != 0 {
        receives(sock, err, call::GETSOCKOPT);
    }
    0
}

/// A call on the socket ends.
#[inline(always)]
fn returned(sock: Sock, result: i32, by: u8) {
    family::touch(sock);
    // Nothing yet to receive, by far the most frequent failure.
    if result >= 0 || result == -EAGAIN {
        return;
    }
    // An error that is still pending was not the one received.
    if sock.err() == 0 {
        receives(sock, result.unsigned_abs(), by);
    }
}

/// The current task receives `err`, which may be what the connection died of.
#[inline(always)]
fn receives(sock: Sock, err: u32, by: u8) {
    if let Some(tracked) = track::get(sock)
        && tracked.died_ns != 0
    {
        let died_ns = tracked.died_ns;
        // Handed out once.
        tracked.died_ns = 0;
        emit::noticed(tracked.inode, died_ns, err, by);
    }
}
