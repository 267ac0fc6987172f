//! Connections that the kernel gave up.
//!
//! Every such death passes `tcp_write_err` (net/ipv4/tcp_timer.c), and `TcpExtTCPAbortOnTimeout` rises
//! there. But compilers inline it: it was no symbol on any of 5.10, 6.1, 6.12, 6.18 and 7.2. On every
//! kernel since 4.16 it leads to the state change to CLOSE with `sk_err` set
//! (`sock:inet_sock_set_state`). At that moment everything that tells the cause is still there.
//!
//! Other deaths set `sk_err` too. So it is compared with what `tcp_write_err` writes:
//! `sk_err = sk_err_soft ?: ETIMEDOUT`. A RST sets neither of the two. An ICMP error that kills a
//! connecting socket sets `sk_err` alone. `tcp_abort` sets the caller's errno.
//!
//! Where `tcp_write_err` is a symbol, it is hooked as well. Then it alone decides which state changes
//! are timeouts.

use aya_ebpf::{
    macros::{fentry, kprobe, map, raw_tracepoint},
    maps::PerCpuArray,
    programs::{FEntryContext, ProbeContext, RawTracePointContext},
};
use keepalive_ebpf::wire::kind;

use crate::{
    emit::{self, Moment, log},
    filter,
    hook::timer,
    kernel::{Sock, memory::config, state},
    state::socket_state,
};

/// `ETIMEDOUT` of the generic Linux ABI. The few architectures on which it differs have no BPF JIT for
/// these hooks.
const ETIMEDOUT: u32 = 110;

/// The socket that this CPU is giving up, between `tcp_write_err` and its state change.
#[map]
static GIVING_UP: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[fentry(function = "tcp_write_err")]
pub fn write_err_fentry(ctx: FEntryContext) -> u32 {
    give_up(ctx.arg(0));
    0
}

#[kprobe(function = "tcp_write_err")]
pub fn write_err_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(sock) = ctx.arg::<u64>(0) {
        give_up(sock);
    }
    0
}

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn death_set_state(ctx: RawTracePointContext) -> i32 {
    if ctx.arg::<u32>(2) != u32::from(state::CLOSE) {
        return 0;
    }
    let sock = Sock(ctx.arg(0));
    timer::forget(sock);
    let err = sock.err();
    if err == 0 || !sock.is_tcp() {
        return 0;
    }
    if !is_timeout(sock, err) {
        log::other_death(sock, err);
        return 0;
    }
    let moment = Moment::of(kind::TIMEOUT, ctx.arg::<u32>(1) as u8, sock);
    send(&moment, sock);
    0
}

/// Sends a death. If the filters want it, it is remembered too, so that the process that receives its
/// error is seen. No process can have received it yet: the socket is locked here.
#[inline(always)]
pub fn send(moment: &Moment, sock: Sock) {
    if emit::event(moment, sock) && filter::wants_kind(kind::NOTICED) {
        socket_state::note_death(sock);
    }
}

#[inline(always)]
fn give_up(sock: u64) {
    if let Some(slot) = GIVING_UP.get_ptr_mut(0) {
        // SAFETY: this CPU's own map value. The socket is locked until its state has changed.
        unsafe { *slot = sock };
    }
}

#[inline(always)]
fn is_timeout(sock: Sock, err: u32) -> bool {
    if config!(write_err_hooked) != 0 {
        let Some(slot) = GIVING_UP.get_ptr_mut(0) else {
            return false;
        };
        // SAFETY: as in `give_up`.
        let given_up = unsafe { core::ptr::replace(slot, 0) };
        return given_up == sock.0;
    }
    match sock.err_soft() {
        0 => err == ETIMEDOUT,
        soft => err == soft,
    }
}
