//! The peer's RST.
//!
//! `tcp:tcp_receive_reset` (4.16 and later; raw, so no tracefs is needed) is the first line of `tcp_reset`
//! (net/ipv4/tcp_input.c). The state is still the one before, and `sk_err` follows from it. It fires only
//! for an acceptable RST of an existing connection.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use keepalive_ebpf::wire::kind;

use crate::{
    emit::Moment,
    hook::death,
    kernel::{Sock, state},
};

#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
pub fn reset_receive(ctx: RawTracePointContext) -> i32 {
    let sock = Sock(ctx.arg(0));
    let state = sock.state();
    // A RST to a closed socket changes nothing: tcp_reset returns early.
    if state == state::CLOSE {
        return 0;
    }
    death::send(&Moment::of(kind::RESET, state, sock), sock);
    0
}
