//! The keepalive timer, from its entry to its exit.
//!
//! `tcp_keepalive_timer` (net/ipv4/tcp_timer.c) is the only place that sends keepalive probes. The
//! compiler cannot inline it, because it is called through `timer_list.function`. An expiry alone is no
//! probe, since the timer also runs only to set itself again. So the socket is compared before and after.
//! Three backends lead here, and all of them run the same code:
//!
//! - fentry/fexit on `tcp_keepalive_timer`;
//! - kprobe/kretprobe on it;
//! - `timer:timer_expire_entry` and `timer_expire_exit` (raw), for kernels without kprobes and
//!   trampolines. They fire for every timer, so the function's address is compared first.
//!
//! docs/kernels.md lists the kernels on which each of them was run.

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe, map, raw_tracepoint},
    maps::{Array, PerCpuArray},
    programs::{FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext},
};
use keepalive_ebpf::wire::{NO_RTT, kind};

use crate::{
    emit::{self, Moment},
    kernel::{
        Sock, Timer,
        memory::{config, jiffies, now_ns},
        state,
    },
    state::socket_state::{self, SocketState},
};

/// The expiry that this CPU is working on. Timers run in softirq and do not nest.
#[repr(C)]
#[derive(Clone, Copy)]
struct Expiry {
    /// Address of the socket, 0 between expiries.
    sock: u64,
    /// Address of the timer, 0 between expiries.
    timer: u64,
    /// When TCP last handled a segment of the socket. The timer itself refreshes that stamp, so it is
    /// read before.
    mstamp_us: u64,
    // The next fields are as the socket had them at the timer's entry.
    heard: u32,
    probes_out: u32,
    segs_out: u32,
    write_seq: u32,
    rcv_nxt: u32,
    /// The event that is being sent. On the stack the verifier would know its bytes, and check the
    /// sending once for each kind. Here it does not know them.
    moment: Moment,
}

/// One value for each CPU.
#[map]
static EXPIRY: PerCpuArray<Expiry> = PerCpuArray::with_max_entries(1, 0);

/// Address of `tcp_keepalive_timer`, for the tracepoint. It is a map and not a global, because the user
/// half is still searching for the address while it loads the programs.
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

/// The socket died inside its own timer. The timer's exit must not read what is left of it.
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

/// A probe was built in this expiry. Exactly then `TcpExtTCPKeepAlive` has risen by one.
///
/// The socket's lock is held neither at the entry nor at the exit. So another CPU may have changed the
/// socket on either side of the expiry: switched `SO_KEEPALIVE` off, taken the answer (which clears
/// `icsk_probes_out`), reset the connection. Therefore a segment must have left, and one of two things
/// must be true. Either the count of probes has risen. Or keepalive was due and no data moved, so the
/// segment can only be the probe. The second case also covers a probe that the device refused, which
/// the kernel does not count as unanswered.
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
    if let Some(remembered) = socket_state::get_or_begin(sock) {
        // Only the kernel's count includes the probes from before katrace started. Above 255 only our
        // count is right.
        let ours = remembered.unanswered + u32::from(counted);
        if ours > moment.unanswered {
            moment.unanswered = ours;
        }
        remembered.unanswered = moment.unanswered;
        remembered.probe_ns = now_ns();
        remembered.probe_jiffies = jiffies();
        remembered.segs_in = sock.segs_in();
    }
    expiry.moment = moment;
}

/// The peer was heard since the last probe. An ACK does not touch the timer, so the next expiry is the
/// first moment at which this can be seen.
#[inline(always)]
fn was_answered(sock: Sock, state: u8, expiry: &mut Expiry) -> bool {
    let Some(remembered) = socket_state::get(sock) else {
        return false;
    };
    if remembered.unanswered == 0
        || (sock.heard().wrapping_sub(remembered.probe_jiffies) as i32) < 0
    {
        return false;
    }
    expiry.moment = Moment {
        kind: kind::ANSWERED,
        state,
        sent: false,
        unanswered: remembered.unanswered,
        rtt_us: round_trip(sock, expiry, remembered),
    };
    remembered.unanswered = 0;
    expiry.moment.unanswered >= config!(answered_min)
}

/// Microseconds from the last probe to its answer. Known when exactly one segment has arrived since the
/// probe and no other was handled later: then the stamp of the last handled segment is the answer's.
#[inline(always)]
fn round_trip(sock: Sock, expiry: &Expiry, remembered: &SocketState) -> u32 {
    let left_us = remembered.probe_ns / 1000;
    if sock.segs_in().wrapping_sub(remembered.segs_in) != 1 || expiry.mstamp_us < left_us {
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
    // While a process has the socket locked, the timer only runs again in HZ/20.
    let wait = sock.keepalive_expires().wrapping_sub(jiffies());
    wait > config!(hz) / 20 && sock.snd_una() != sock.write_seq() && was_due(sock, expiry)
}

/// The kernel found that the peer had been silent for the idle time.
///
/// The clock alone cannot tell this, because it may tick between the kernel's look at it and the entry
/// or the exit. The time to which the timer was set tells: the end of the idle time, if that was not
/// over; HZ/20 ahead, if a process had the socket locked; at least HZ/2 ahead, after a probe or with
/// data in flight.
#[inline(always)]
fn was_due(sock: Sock, expiry: &Expiry) -> bool {
    let due = expiry.heard.wrapping_add(sock.keepidle(sock.net()));
    let set = sock.keepalive_expires().wrapping_sub(due) as i32;
    jiffies().wrapping_sub(due) as i32 >= 0 && set > (config!(hz) / 4) as i32
}
