//! The peer's RST.
//!
//! `tcp:tcp_receive_reset` (4.16 and later; raw, so that no tracefs is needed) is the first line of
//! `tcp_reset` (net/ipv4/tcp_input.c): the state is still the one before, and `sk_err` follows from
//! it. It fires only for an acceptable RST of an existing connection.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use keepalive_ebpf::wire::kind;

use crate::{
    emit,
    record::{Moment, Sock, state},
};

#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
pub fn reset_receive(ctx: RawTracePointContext) -> i32 {
    let sock = Sock(ctx.arg(0));
    let state = sock.state();
    // tcp_reset returns early for these: a RST to a closed socket changes nothing.
    if state == state::CLOSE {
        return 0;
    }
    let moment = Moment::of(kind::RESET, state, sock);
    emit::event(&moment, sock);
    0
}
