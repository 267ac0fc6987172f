//! Who accepted a connection.
//!
//! `inet_csk_accept` (net/ipv4/inet_connection_sock.c) returns the new socket in the context of the
//! task that will hold it. It took four arguments before 6.10 and takes two since, so the user half
//! counts them in BTF: the value returned follows them (`bpf_get_func_ret` came only with 5.17).
//!
//! fexit only: a kretprobe here runs in process context, and the timer's kprobe is skipped by the
//! kernel when it interrupts another probe's program on the same CPU. Without it, accepted sockets
//! are found by the descriptor scan.

use aya_ebpf::{EbpfContext, macros::fexit, programs::FExitContext};
use keepalive_ebpf::wire::owner_from;

use crate::{
    mem::{config, word},
    record::Sock,
    track,
};

#[fexit(function = "inet_csk_accept")]
pub fn accept_fexit(ctx: FExitContext) -> u32 {
    let sock = word(ctx.as_ptr(), config!(accept_args));
    if sock != 0 {
        track::own(Sock(sock), owner_from::ACCEPT);
    }
    0
}
