//! Who accepted a connection.
//!
//! `inet_csk_accept` (net/ipv4/inet_connection_sock.c) returns the new socket in the context of the task
//! that will hold it. It took four arguments before 6.10 and takes two since. The returned value follows
//! the arguments in the program's context, so the user half counts them in BTF (`bpf_get_func_ret`
//! exists only since 5.17).
//!
//! fexit only. A kretprobe here runs in process context. If the timer's kprobe interrupts it on the same
//! CPU, the kernel skips the timer's program. Without this hook the scan of descriptors finds accepted
//! sockets.

use aya_ebpf::{EbpfContext, macros::fexit, programs::FExitContext};
use keepalive_ebpf::wire::owner_from;

use crate::{
    kernel::{
        Sock,
        memory::{config, word},
    },
    state::socket_state,
};

#[fexit(function = "inet_csk_accept")]
pub fn accept_fexit(ctx: FExitContext) -> u32 {
    let sock = word(ctx.as_ptr(), config!(accept_args));
    if sock != 0 {
        socket_state::note_owner(Sock(sock), owner_from::ACCEPT);
    }
    0
}
