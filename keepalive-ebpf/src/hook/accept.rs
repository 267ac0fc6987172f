//! Who accepted a connection.
//!
//! `inet_csk_accept` (net/ipv4/inet_connection_sock.c) returns the new socket in the context of the
//! task that will hold it. Its arguments changed in 6.10 (four before, two since), so the user half
//! counts them in BTF. fexit only: a kretprobe here runs in process context, and the timer's kprobe
//! is skipped by the kernel when it interrupts another probe's program on the same CPU. Without it,
//! accepted sockets are found by the descriptor scan.

use aya_ebpf::{EbpfContext, macros::fexit, programs::FExitContext};
use keepalive_ebpf::wire::owner_from;

use crate::{mem::config, record::Sock, track};

#[fexit(function = "inet_csk_accept")]
pub fn accept_fexit(ctx: FExitContext) -> u32 {
    let sock = match config!(accept_args) {
        2 => value_after::<2>(&ctx),
        4 => value_after::<4>(&ctx),
        _ => 0,
    };
    if sock != 0 {
        track::own(Sock(sock), owner_from::ACCEPT);
    }
    0
}

/// What a function of `N` arguments returned: it follows them in the context
/// (`bpf_get_func_ret` came only with 5.17).
#[inline(always)]
fn value_after<const N: usize>(ctx: &FExitContext) -> u64 {
    // SAFETY: the context is an array of the arguments and the value returned, and the user half
    // counted the arguments. Volatile, so that the compiler does not read ahead of the count: the
    // verifier refuses a read past the array even where its value is not used.
    unsafe { ctx.as_ptr().cast::<u64>().add(N).read_volatile() }
}
