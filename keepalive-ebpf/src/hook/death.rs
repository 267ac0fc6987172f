//! Connections that the kernel gave up.
//!
//! `tcp_write_err` (net/ipv4/tcp_timer.c) is where every such death passes, and where
//! `TcpExtTCPAbortOnTimeout` rises, but compilers inline it: it was no symbol on any of 5.10, 6.1,
//! 6.12, 6.18 and 7.2. What follows from it on every kernel since 4.16 is the state change to CLOSE
//! with `sk_err` set (`sock:inet_sock_set_state`), when everything that tells the cause is still
//! there. Other deaths set `sk_err` too, so what `tcp_write_err` writes is compared:
//! `sk_err = sk_err_soft ?: ETIMEDOUT`. A RST sets neither; an ICMP error that kills a connecting
//! socket sets `sk_err` alone; `tcp_abort` sets the caller's errno.
//!
//! Where `tcp_write_err` is a symbol it is hooked as well, and then it alone says which state
//! changes are timeouts.

use aya_ebpf::{
    macros::{fentry, kprobe, map, raw_tracepoint},
    maps::PerCpuArray,
    programs::{FEntryContext, ProbeContext, RawTracePointContext},
};
use keepalive_ebpf::wire::kind;

use crate::{
    emit,
    hook::timer,
    log,
    mem::config,
    record::{Moment, Sock, state},
};

/// `ETIMEDOUT` of the generic Linux ABI; the few architectures that differ have no BPF JIT for
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
    emit::event(&moment, sock);
    0
}

#[inline(always)]
fn give_up(sock: u64) {
    if let Some(slot) = GIVING_UP.get_ptr_mut(0) {
        // SAFETY: this CPU's own map value; the socket is locked until its state has changed.
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
