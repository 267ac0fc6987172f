//! The keepalive timer, watched from its entry to its exit.
//!
//! `tcp_keepalive_timer` (net/ipv4/tcp_timer.c) is the only place that sends keepalive probes, and
//! the compiler cannot inline it: it is called through `timer_list.function`. Its expiry alone is no
//! probe, it also rearms, so `icsk_probes_out` is compared before and after. Three ways lead here,
//! and all of them run the same code:
//!
//! - fentry/fexit on `tcp_keepalive_timer`;
//! - kprobe/kretprobe on it;
//! - `timer:timer_expire_entry` and `timer_expire_exit` (raw), for kernels without kprobes and
//!   trampolines; they fire for every timer, so the function's address is compared first.
//!
//! All three were run on 5.10, 6.1, 6.12 and 7.2, the last also on a 6.18 without kprobes.

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe, map, raw_tracepoint},
    maps::PerCpuArray,
    programs::{FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext},
};
use keepalive_ebpf::wire::{NO_RTT, kind};

use crate::{
    emit,
    mem::{config, jiffies, now_ns},
    record::{Moment, Sock, Timer, state},
    track::{self, Tracked},
};

/// The expiry that this CPU is in. Timers run in softirq and do not nest.
#[repr(C)]
#[derive(Clone, Copy)]
struct Expiry {
    /// Socket address, 0 between expiries.
    sock: u64,
    timer: u64,
    /// When TCP last handled a segment of the socket, before the timer refreshes that stamp.
    mstamp_us: u64,
    jiffies: u32,
    probes_out: u32,
}

#[map]
static EXPIRY: PerCpuArray<Expiry> = PerCpuArray::with_max_entries(1, 0);

#[fentry(function = "tcp_keepalive_timer")]
pub fn keepalive_fentry(ctx: FEntryContext) -> u32 {
    enter(Timer(ctx.arg(0)));
    0
}

#[fexit(function = "tcp_keepalive_timer")]
pub fn keepalive_fexit(_ctx: FExitContext) -> u32 {
    leave();
    0
}

#[kprobe(function = "tcp_keepalive_timer")]
pub fn keepalive_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(timer) = ctx.arg::<u64>(0) {
        enter(Timer(timer));
    }
    0
}

#[kretprobe(function = "tcp_keepalive_timer")]
pub fn keepalive_kretprobe(_ctx: RetProbeContext) -> u32 {
    leave();
    0
}

#[raw_tracepoint(tracepoint = "timer_expire_entry")]
pub fn keepalive_expire_entry(ctx: RawTracePointContext) -> i32 {
    let timer = Timer(ctx.arg(0));
    if timer.function() == config!(keepalive_fn) {
        enter(timer);
    }
    0
}

#[raw_tracepoint(tracepoint = "timer_expire_exit")]
pub fn keepalive_expire_exit(ctx: RawTracePointContext) -> i32 {
    if let Some(expiry) = EXPIRY.get(0)
        && expiry.timer == ctx.arg::<u64>(0)
    {
        leave();
    }
    0
}

/// The socket died inside its own timer: its exit must not read what is left of it.
#[inline(always)]
pub fn forget(sock: Sock) {
    if let Some(expiry) = EXPIRY.get_ptr_mut(0) {
        // SAFETY: this CPU's own map value, and nothing else on this CPU runs meanwhile.
        let expiry = unsafe { &mut *expiry };
        if expiry.sock == sock.0 {
            expiry.sock = 0;
        }
    }
}

#[inline(always)]
fn enter(timer: Timer) {
    let Some(expiry) = EXPIRY.get_ptr_mut(0) else {
        return;
    };
    let sock = timer.sock();
    // SAFETY: this CPU's own map value, and nothing else on this CPU runs meanwhile.
    let expiry = unsafe { &mut *expiry };
    expiry.sock = sock.0;
    expiry.timer = timer.0;
    expiry.mstamp_us = sock.mstamp_us();
    expiry.jiffies = jiffies();
    expiry.probes_out = sock.probes_out();
}

#[inline(never)]
fn leave() {
    let Some(expiry) = EXPIRY.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: this CPU's own map value, and nothing else on this CPU runs meanwhile.
    let expiry = unsafe { &mut *expiry };
    let sock = Sock(expiry.sock);
    expiry.sock = 0;
    expiry.timer = 0;
    if sock.0 == 0 {
        return;
    }
    let state = sock.state();
    if state == state::CLOSE || state == state::LISTEN || !sock.is_keepopen() {
        return;
    }

    let counted = sock.probes_out() != expiry.probes_out;
    let heard = sock.heard();
    let mut tracked = track::get(sock);
    if let Some(tracked) = tracked.as_deref_mut()
        && tracked.unanswered > 0
        && (heard.wrapping_sub(tracked.probe_jiffies) as i32) >= 0
    {
        answered(sock, state, expiry, tracked);
    }
    if counted || probe_was_congested(sock, expiry, heard) {
        probe(sock, state, tracked.is_some(), counted);
    } else if is_stalled(sock, expiry, heard) {
        let moment = Moment::of(kind::STALLED, state, sock);
        emit::event(&moment, sock, tracked.as_deref());
    }
}

/// A probe was built: `TcpExtTCPKeepAlive` has risen by one.
#[inline(always)]
fn probe(sock: Sock, state: u8, is_tracked: bool, counted: bool) {
    let tracked = if is_tracked {
        track::get(sock)
    } else {
        track::get_or_begin(sock)
    };
    let mut moment = Moment::of(kind::PROBE, state, sock);
    moment.sent = sock.has_route();
    if let Some(tracked) = tracked {
        if counted {
            tracked.unanswered += 1;
        }
        tracked.probe_ns = now_ns();
        tracked.probe_jiffies = jiffies();
        tracked.segs_in = sock.segs_in();
        let inode = sock.inode();
        if inode != 0 {
            tracked.inode = inode;
        }
        // Probes before katrace began are in the kernel's count only; past 255 only ours is right.
        if tracked.unanswered < moment.unanswered {
            tracked.unanswered = moment.unanswered;
        }
        moment.unanswered = tracked.unanswered;
        if !counted {
            moment.unanswered += 1;
        }
        emit::event(&moment, sock, Some(tracked));
    } else {
        if !counted {
            moment.unanswered += 1;
        }
        emit::event(&moment, sock, None);
    }
}

/// The peer was heard since the last probe. An ACK leaves the timer alone, so the next expiry is
/// the first that can tell.
#[inline(always)]
fn answered(sock: Sock, state: u8, expiry: &Expiry, tracked: &mut Tracked) {
    let moment = Moment {
        kind: kind::ANSWERED,
        state,
        sent: false,
        unanswered: tracked.unanswered,
        rtt_us: round_trip(sock, expiry, tracked),
    };
    if moment.unanswered >= config!(answered_min) {
        emit::event(&moment, sock, Some(tracked));
    }
    tracked.unanswered = 0;
}

/// Known when exactly one segment has arrived since the probe and none was handled later: then the
/// stamp of the last handled segment is the answer's.
#[inline(always)]
fn round_trip(sock: Sock, expiry: &Expiry, tracked: &Tracked) -> u32 {
    let left_us = tracked.probe_ns / 1000;
    if sock.segs_in().wrapping_sub(tracked.segs_in) != 1 || expiry.mstamp_us < left_us {
        return NO_RTT;
    }
    match expiry.mstamp_us - left_us {
        us if us < u64::from(NO_RTT) => us as u32,
        _ => NO_RTT,
    }
}

/// Local congestion: the probe was built, but the device refused it, so the kernel did not count
/// it in `icsk_probes_out` and tries again after `TCP_RESOURCE_PROBE_INTERVAL`, half a second.
#[inline(always)]
fn probe_was_congested(sock: Sock, expiry: &Expiry, heard: u32) -> bool {
    let wait = sock.keepalive_expires().wrapping_sub(jiffies());
    let half = config!(hz) / 2;
    wait <= half
        && wait + 2 >= half
        && sock.snd_una() == sock.write_seq()
        && was_due(sock, expiry, heard)
}

/// Keepalive was due, but data is unacknowledged, and the kernel suspends probes until it is.
#[inline(always)]
fn is_stalled(sock: Sock, expiry: &Expiry, heard: u32) -> bool {
    // While a process has the socket locked the timer only comes again in HZ/20.
    let wait = sock.keepalive_expires().wrapping_sub(jiffies());
    wait > config!(hz) / 20 && sock.snd_una() != sock.write_seq() && was_due(sock, expiry, heard)
}

/// The peer had been silent for the idle time when the timer expired.
#[inline(always)]
fn was_due(sock: Sock, expiry: &Expiry, heard: u32) -> bool {
    let idle = expiry.jiffies.wrapping_sub(heard);
    (idle as i32) >= 0 && idle >= sock.keepidle(sock.net())
}
