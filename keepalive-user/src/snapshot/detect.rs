//! How long a dead peer goes unnoticed: the kernel's own arithmetic, without the kernel.
//!
//! All times are milliseconds and nominal: the kernel's timers are never early, and late by up to an
//! eighth, since its timer wheel gets coarser with distance.

use crate::event::State;

/// `TCP_RTO_MIN` of include/net/tcp.h, from which `tcp_model_timeout` counts.
pub const RTO_MIN_MS: u64 = 200;
/// `TCP_RTO_MAX`, where no setting says otherwise.
pub const RTO_MAX_MS: u32 = 120_000;
/// How late the wheel makes timers on average is at least this part of their length (half of 1/63).
const LATE: u64 = 128;
/// What `tcp_orphan_retries` means by 0.
const ORPHAN_RETRIES: u32 = 8;

/// No file refers to it: in these states that means that it was closed, not that it waits to be
/// accepted.
pub fn is_orphan(state: State, inode: Option<u64>) -> bool {
    match state {
        State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => inode.is_none(),
        State::Established
        | State::SynSent
        | State::SynRecv
        | State::TimeWait
        | State::Close
        | State::CloseWait
        | State::Listen
        | State::NewSynRecv => false,
    }
}

/// Whether keepalive does anything in this state: not before the connection stands, and not once a
/// FIN is in flight, which is data unacknowledged. An orphan in FIN_WAIT2 only waits its time out.
pub fn has_keepalive(state: State, orphan: bool) -> bool {
    match state {
        State::Established | State::CloseWait => true,
        State::FinWait2 => !orphan,
        State::SynSent
        | State::SynRecv
        | State::FinWait1
        | State::TimeWait
        | State::Close
        | State::LastAck
        | State::Listen
        | State::Closing
        | State::NewSynRecv => false,
    }
}

/// Whether something sent may wait for its acknowledgement in this state.
pub fn has_data(state: State) -> bool {
    match state {
        State::Established
        | State::CloseWait
        | State::FinWait1
        | State::Closing
        | State::LastAck => true,
        State::SynSent
        | State::SynRecv
        | State::FinWait2
        | State::TimeWait
        | State::Close
        | State::Listen
        | State::NewSynRecv => false,
    }
}

/// From the peer's last word to the death of an idle connection (`tcp_keepalive_timer`).
///
/// The timer expires after `idle`, then every `intvl`. Without TCP_USER_TIMEOUT the expiry that finds
/// `cnt` probes unanswered ends it. With it the count is ignored: the first expiry ends it that comes
/// no sooner than the timeout and finds a probe unanswered, so never the first of all.
pub fn idle(idle_ms: u64, intvl_ms: u64, cnt: u32, user_timeout_ms: u32) -> u64 {
    let expiries = match u64::from(user_timeout_ms) {
        0 => u64::from(cnt),
        timeout => timeout
            .saturating_sub(idle_ms)
            .div_ceil(intvl_ms.max(1))
            .max(1),
    };
    idle_ms.saturating_add(expiries.saturating_mul(intvl_ms))
}

/// From sending to the death of a connection whose data is not acknowledged, by `tcp_retries2`.
///
/// The kernel first works out how long that many retries would take from [`RTO_MIN_MS`]
/// (`tcp_model_timeout`), and gives up at the first expiry that far from the first retransmission
/// (`retransmits_timed_out`). The expiries come at the connection's own timeout, doubled each time.
pub fn data(rto_ms: u64, backoff: u8, retries: u32, rto_max_ms: u32) -> u64 {
    let max = u64::from(rto_max_ms).max(RTO_MIN_MS);
    let model = model(retries.min(255), max);
    // As it was before it was doubled.
    let first = (rto_ms >> backoff.min(63)).clamp(RTO_MIN_MS, max);
    let (mut at, mut wait) = (first, first);
    // Lateness decides the commonest case: a timeout of 200 ms reaches the model but for those 200 ms.
    while (at - first) + (at - first) / LATE < model {
        wait = (wait * 2).min(max);
        at += wait;
    }
    at
}

/// Retries of an orphan: `tcp_orphan_retries`.
pub fn orphan_retries(sysctl: u32) -> u32 {
    match sysctl {
        0 => ORPHAN_RETRIES,
        set => set,
    }
}

fn model(retries: u32, max: u64) -> u64 {
    let doubling = (max / RTO_MIN_MS).max(1).ilog2();
    let doubled = ((2 << retries.min(doubling)) - 1) * RTO_MIN_MS;
    doubled + u64::from(retries.saturating_sub(doubling)) * max
}

/// When the next probe leaves if the peer stays silent: when the timer expires, but not before the
/// idle time has passed since the peer was heard; an earlier expiry only sets the timer anew.
pub fn next_probe(timer_ms: u64, idle_ms: u64, silence_ms: Option<u64>) -> u64 {
    timer_ms.max(idle_ms.saturating_sub(silence_ms.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_user_timeout_the_count_decides() {
        // 60 + 3 × 10 = 90 s.
        assert_eq!(idle(60_000, 10_000, 3, 0), 90_000);
        // The kernel's defaults: 7200 + 9 × 75 = 7875 s, 2 h 11 min.
        assert_eq!(idle(7_200_000, 75_000, 9, 0), 7_875_000);
    }

    #[test]
    fn with_a_user_timeout_the_first_expiry_past_it_decides() {
        // Expiries at 2, 3, 4, 5 s …: 5 s is the first that is ≥ 5 s; a count of 3 changes nothing.
        assert_eq!(idle(2000, 1000, 3, 5000), 5000);
        // 4.5 s lies between two expiries: 5 s.
        assert_eq!(idle(2000, 1000, 3, 4500), 5000);
        // Past before the first expiry, at 60 s, but no probe is out yet then: 70 s.
        assert_eq!(idle(60_000, 10_000, 3, 30_000), 70_000);
        assert_eq!(idle(60_000, 10_000, 3, 60_000), 70_000);
        // Longer than the count would take: 60 + 9 × 10 = 150 s.
        assert_eq!(idle(60_000, 10_000, 3, 150_000), 150_000);
    }

    #[test]
    fn absurd_settings_do_not_overflow() {
        assert_eq!(idle(u64::MAX, 1, 1, 0), u64::MAX);
        assert_eq!(idle(0, 0, 255, u32::MAX), 0);
        assert!(data(u64::MAX, 255, 255, u32::MAX) > 0);
        assert!(data(0, 0, 0, 0) > 0);
    }

    #[test]
    fn data_in_flight_dies_at_the_first_expiry_past_the_model() {
        // Model of 3 retries: 15 × 200 ms = 3 s. Expiries at 0.2, 0.6, 1.4, 3.0 (2.8 s after the
        // first), 6.2 s (6.0 s after it): 6.2 s.
        assert_eq!(data(200, 0, 3, RTO_MAX_MS), 6200);
        // Model of 15: 1023 × 0.2 + 6 × 120 = 924.6 s. With 204 ms the ten expiries while doubling
        // end at 1023 × 0.204 = 208.692 s; six more of 120 s: 928.692 s, 928.488 s after the first.
        assert_eq!(data(204, 0, 15, RTO_MAX_MS), 928_692);
        // With 200 ms: 924.6 s, 924.4 s after the first, and then late by more than 0.2 s.
        assert_eq!(data(200, 0, 15, RTO_MAX_MS), 924_600);
    }

    #[test]
    fn a_timeout_doubled_already_counts_as_it_was() {
        // 1632 ms is 204 ms doubled three times.
        assert_eq!(data(1632, 3, 15, RTO_MAX_MS), data(204, 0, 15, RTO_MAX_MS));
    }

    #[test]
    fn a_lower_maximum_shortens_it() {
        // Maximum 1 s: 1000 / 200 = 5, so two doublings: model of 4 retries 7 × 0.2 + 2 × 1 = 3.4 s.
        // Expiries at 0.2, 0.6, 1.4, 2.4, 3.4 (3.2 s after the first), 4.4 s: 4.4 s.
        assert_eq!(data(200, 0, 4, 1000), 4400);
    }

    #[test]
    fn the_next_probe_waits_for_the_timer_and_for_the_idle_time() {
        // Heard 1 s ago, idle 60 s, the timer expires in 10 s and will be set anew: 59 s.
        assert_eq!(next_probe(10_000, 60_000, Some(1000)), 59_000);
        // Silent for 75 s, between probes: the timer.
        assert_eq!(next_probe(4000, 60_000, Some(75_000)), 4000);
        assert_eq!(next_probe(4000, 60_000, None), 60_000);
    }

    #[test]
    fn only_what_was_closed_is_an_orphan() {
        assert!(is_orphan(State::FinWait2, None));
        assert!(!is_orphan(State::FinWait2, Some(7)));
        // Waiting to be accepted.
        assert!(!is_orphan(State::Established, None));
        assert!(!has_keepalive(State::FinWait2, true) && has_keepalive(State::FinWait2, false));
        assert_eq!(orphan_retries(0), 8);
    }
}
