//! The keepalive timer, watched from its entry to its exit.
//!
//! `tcp_keepalive_timer` (net/ipv4/tcp_timer.c) is the only place that sends keepalive probes, and
//! the compiler cannot inline it: it is called through `timer_list.function`. Its expiry alone is no
//! probe, it also rearms, so the socket is compared before and after. Three ways lead here, and all
//! of them run the same code:
//!
//! - fentry/fexit on `tcp_keepalive_timer`;
//! - kprobe/kretprobe on it;
//! - `timer:timer_expire_entry` and `timer_expire_exit` (raw), for kernels without kprobes and
//!   trampolines; they fire for every timer, so the function's address is compared first.
//!
//! All three were run on 5.10, 6.1, 6.12 and 7.2, the last also on a 6.18 without kprobes.

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe, map, raw_tracepoint},
    maps::{Array, PerCpuArray},
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
    heard: u32,
    probes_out: u32,
    segs_out: u32,
    write_seq: u32,
    rcv_nxt: u32,
    /// The event being sent. Here rather than on the stack, where the verifier would know its bytes
    /// and walk the sending once for each kind.
    moment: Moment,
}

#[map]
static EXPIRY: PerCpuArray<Expiry> = PerCpuArray::with_max_entries(1, 0);

/// Address of `tcp_keepalive_timer`, for the tracepoint. A map, since the user half is still
/// searching for it while it loads the programs.
#[map]
static KEEPALIVE_FN: Array<u64> = Array::with_max_entries(1, 0);

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
    if let Some(function) = KEEPALIVE_FN.get(0)
        && timer.function() == *function
    {
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
    expiry.heard = sock.heard();
    expiry.probes_out = sock.probes_out();
    expiry.segs_out = sock.segs_out();
    expiry.write_seq = sock.write_seq();
    expiry.rcv_nxt = sock.rcv_nxt();
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
    if was_answered(sock, state, expiry) {
        emit::event(&expiry.moment, sock);
    }
    if was_probed(sock, expiry) {
        probe(sock, state, expiry);
    } else if is_stalled(sock, state, expiry) {
        expiry.moment = Moment::of(kind::STALLED, state, sock);
    } else {
        return;
    }
    emit::event(&expiry.moment, sock);
}

/// A probe was built in this expiry: exactly then `TcpExtTCPKeepAlive` has risen by one.
///
/// Neither end of the expiry holds the socket's lock, so other CPUs may have touched the socket on
/// either side of it: switched `SO_KEEPALIVE` off, taken the answer (which clears
/// `icsk_probes_out`), reset the connection. A segment must have left; and either the count of
/// probes has risen, or keepalive was due and no data moved, so that the segment can only be the
/// probe. The latter also covers a probe that the device refused, which the kernel does not count
/// as unanswered.
#[inline(always)]
fn was_probed(sock: Sock, expiry: &Expiry) -> bool {
    if sock.segs_out() == expiry.segs_out {
        return false;
    }
    let probes_out = sock.probes_out();
    if probes_out != expiry.probes_out && probes_out != 0 {
        return true;
    }
    was_due(sock, expiry)
        && sock.write_seq() == expiry.write_seq
        && sock.rcv_nxt() == expiry.rcv_nxt
        && sock.snd_una() == expiry.write_seq
}

#[inline(always)]
fn probe(sock: Sock, state: u8, expiry: &mut Expiry) {
    let mut moment = Moment::of(kind::PROBE, state, sock);
    let counted = moment.unanswered != expiry.probes_out;
    moment.sent = sock.has_route();
    moment.unanswered = expiry.probes_out + 1;
    if let Some(tracked) = track::get_or_begin(sock) {
        // Probes before katrace began are in the kernel's count only; past 255 only ours is right.
        let ours = tracked.unanswered + u32::from(counted);
        if ours > moment.unanswered {
            moment.unanswered = ours;
        }
        tracked.unanswered = moment.unanswered;
        tracked.probe_ns = now_ns();
        tracked.probe_jiffies = jiffies();
        tracked.segs_in = sock.segs_in();
    }
    expiry.moment = moment;
}

/// The peer was heard since the last probe. An ACK leaves the timer alone, so the next expiry is
/// the first that can tell.
#[inline(always)]
fn was_answered(sock: Sock, state: u8, expiry: &mut Expiry) -> bool {
    let Some(tracked) = track::get(sock) else {
        return false;
    };
    if tracked.unanswered == 0 || (sock.heard().wrapping_sub(tracked.probe_jiffies) as i32) < 0 {
        return false;
    }
    expiry.moment = Moment {
        kind: kind::ANSWERED,
        state,
        sent: false,
        unanswered: tracked.unanswered,
        rtt_us: round_trip(sock, expiry, tracked),
    };
    tracked.unanswered = 0;
    expiry.moment.unanswered >= config!(answered_min)
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

/// Keepalive was due, but data is unacknowledged, and the kernel suspends probes until it is.
#[inline(always)]
fn is_stalled(sock: Sock, state: u8, expiry: &Expiry) -> bool {
    if state == state::CLOSE || state == state::LISTEN || !sock.is_keepopen() {
        return false;
    }
    // While a process has the socket locked the timer only comes again in HZ/20.
    let wait = sock.keepalive_expires().wrapping_sub(jiffies());
    wait > config!(hz) / 20 && sock.snd_una() != sock.write_seq() && was_due(sock, expiry)
}

/// The kernel found that the peer had been silent for the idle time. The clock alone cannot tell: it may tick
/// between the kernel's look at it and either end of the expiry. How the timer was set can: to the end of the
/// idle time where that was not over, HZ/20 ahead where a process had the socket locked, at least HZ/2 ahead
/// after a probe or with data in flight.
#[inline(always)]
fn was_due(sock: Sock, expiry: &Expiry) -> bool {
    let due = expiry.heard.wrapping_add(sock.keepidle(sock.net()));
    let set = sock.keepalive_expires().wrapping_sub(due) as i32;
    jiffies().wrapping_sub(due) as i32 >= 0 && set > (config!(hz) / 4) as i32
}
