//! How long a dead peer goes unnoticed: the kernel's own arithmetic, as pure functions.
//!
//! All times are nominal milliseconds. The kernel's timers are never early. They are late by up to an eighth, because
//! its timer wheel gets coarser with distance.

use crate::event::State;

/// `TCP_RTO_MIN` of include/net/tcp.h, from which `tcp_model_timeout` counts.
pub const RTO_MIN_MS: u64 = 200;
/// `TCP_RTO_MAX`, where no setting says otherwise.
pub const RTO_MAX_MS: u32 = 120_000;
/// On average the timer wheel makes a timer late by at least this part of its length (half of 1/63).
const LATE: u64 = 128;
/// What the kernel takes for a `tcp_orphan_retries` of 0.
const ORPHAN_RETRIES: u32 = 8;

/// Whether the application has closed the socket, so that no file refers to it. In the other states a socket without
/// a file waits to be accepted.
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

/// Whether keepalive acts in this state. It does not act before the connection is established. It does not act while a
/// FIN waits for its acknowledgement, because that is unacknowledged data. An orphan in FIN_WAIT2 waits for its own
/// timeout.
pub fn keepalive_acts(state: State, orphan: bool) -> bool {
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

/// Whether something that was sent may wait for its acknowledgement in this state.
pub fn may_have_unacked(state: State) -> bool {
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

/// Milliseconds from the moment the peer was last heard until an idle connection ends (`tcp_keepalive_timer`).
///
/// The timer expires after `idle_ms`, then every `intvl_ms`. Without TCP_USER_TIMEOUT (0) the connection ends at the
/// expiry that finds `cnt` probes unanswered. With it the kernel ignores the count: the connection ends at the first
/// expiry that is no sooner than the timeout and finds a probe unanswered. That is never the first expiry of all,
/// because no probe was sent before it.
pub fn idle_ms(idle_ms: u64, intvl_ms: u64, cnt: u32, user_timeout_ms: u32) -> u64 {
    let expiries = match u64::from(user_timeout_ms) {
        0 => u64::from(cnt),
        timeout => timeout
            .saturating_sub(idle_ms)
            .div_ceil(intvl_ms.max(1))
            .max(1),
    };
    idle_ms.saturating_add(expiries.saturating_mul(intvl_ms))
}

/// Milliseconds from sending until a connection whose data is not acknowledged ends, by `tcp_retries2`.
///
/// The kernel computes how long `retries` retransmissions would take if the first came after [`RTO_MIN_MS`]
/// (`tcp_model_timeout`). It gives up at the first expiry that is at least that long after the first retransmission
/// (`retransmits_timed_out`). The expiries themselves come at the connection's own timeout, which doubles each time.
/// `rto_ms` is that timeout at this moment, after it was doubled `backoff` times.
pub fn data_ms(rto_ms: u64, backoff: u8, retries: u32, rto_max_ms: u32) -> u64 {
    let max = u64::from(rto_max_ms).max(RTO_MIN_MS);
    let model = model_ms(retries.min(255), max);
    let first = (rto_ms >> backoff.min(63)).clamp(RTO_MIN_MS, max);
    let (mut at, mut wait) = (first, first);
    // A timeout of exactly 200 ms is common, and its last expiry falls 200 ms short of the model. The lateness of the
    // timers makes up for those 200 ms.
    while (at - first) + (at - first) / LATE < model {
        wait = (wait * 2).min(max);
        at += wait;
    }
    at
}

/// Retransmissions of an orphan: `net.ipv4.tcp_orphan_retries`, of which 0 means the kernel's default.
pub fn orphan_retries(sysctl: u32) -> u32 {
    match sysctl {
        0 => ORPHAN_RETRIES,
        set => set,
    }
}

/// `tcp_model_timeout`: doubled until the maximum, then the maximum for each further retransmission.
fn model_ms(retries: u32, max: u64) -> u64 {
    let doublings = (max / RTO_MIN_MS).max(1).ilog2();
    let doubled = ((2 << retries.min(doublings)) - 1) * RTO_MIN_MS;
    doubled + u64::from(retries.saturating_sub(doublings)) * max
}

/// Milliseconds until the next probe is sent if the peer stays silent. The kernel sends it when the timer expires, but
/// not before the peer has been silent for the idle time: an earlier expiry only sets the timer again.
pub fn next_probe_ms(timer_ms: u64, idle_ms: u64, silence_ms: Option<u64>) -> u64 {
    timer_ms.max(idle_ms.saturating_sub(silence_ms.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_user_timeout_the_count_decides() {
        // 60 + 3 × 10 = 90 s.
        assert_eq!(idle_ms(60_000, 10_000, 3, 0), 90_000);
        // The kernel's defaults: 7200 + 9 × 75 = 7875 s, 2 h 11 min.
        assert_eq!(idle_ms(7_200_000, 75_000, 9, 0), 7_875_000);
    }

    #[test]
    fn with_a_user_timeout_the_first_expiry_past_it_decides() {
        // Expiries at 2, 3, 4, 5 s …: 5 s is the first that is ≥ 5 s; a count of 3 changes nothing.
        assert_eq!(idle_ms(2000, 1000, 3, 5000), 5000);
        // 4.5 s lies between two expiries: 5 s.
        assert_eq!(idle_ms(2000, 1000, 3, 4500), 5000);
        // Past before the first expiry, at 60 s, but no probe is out yet then: 70 s.
        assert_eq!(idle_ms(60_000, 10_000, 3, 30_000), 70_000);
        assert_eq!(idle_ms(60_000, 10_000, 3, 60_000), 70_000);
        // Longer than the count would take: 60 + 9 × 10 = 150 s.
        assert_eq!(idle_ms(60_000, 10_000, 3, 150_000), 150_000);
    }

    #[test]
    fn absurd_settings_do_not_overflow() {
        assert_eq!(idle_ms(u64::MAX, 1, 1, 0), u64::MAX);
        assert_eq!(idle_ms(0, 0, 255, u32::MAX), 0);
        assert!(data_ms(u64::MAX, 255, 255, u32::MAX) > 0);
        assert!(data_ms(0, 0, 0, 0) > 0);
    }

    #[test]
    fn data_in_flight_dies_at_the_first_expiry_past_the_model() {
        // Model of 3 retries: 15 × 200 ms = 3 s. Expiries at 0.2, 0.6, 1.4, 3.0 (2.8 s after the
        // first), 6.2 s (6.0 s after it): 6.2 s.
        assert_eq!(data_ms(200, 0, 3, RTO_MAX_MS), 6200);
        // Model of 15: 1023 × 0.2 + 6 × 120 = 924.6 s. With 204 ms the ten expiries while doubling
        // end at 1023 × 0.204 = 208.692 s; six more of 120 s: 928.692 s, 928.488 s after the first.
        assert_eq!(data_ms(204, 0, 15, RTO_MAX_MS), 928_692);
        // With 200 ms: 924.6 s, 924.4 s after the first, and then late by more than 0.2 s.
        assert_eq!(data_ms(200, 0, 15, RTO_MAX_MS), 924_600);
    }

    #[test]
    fn a_timeout_that_was_doubled_counts_as_before_it() {
        // 1632 ms is 204 ms doubled three times.
        assert_eq!(
            data_ms(1632, 3, 15, RTO_MAX_MS),
            data_ms(204, 0, 15, RTO_MAX_MS)
        );
    }

    #[test]
    fn a_lower_maximum_shortens_it() {
        // Maximum 1 s: 1000 / 200 = 5, so two doublings: model of 4 retries 7 × 0.2 + 2 × 1 = 3.4 s.
        // Expiries at 0.2, 0.6, 1.4, 2.4, 3.4 (3.2 s after the first), 4.4 s: 4.4 s.
        assert_eq!(data_ms(200, 0, 4, 1000), 4400);
    }

    #[test]
    fn the_next_probe_waits_for_the_timer_and_for_the_idle_time() {
        // Heard 1 s ago, idle 60 s, the timer expires in 10 s and will be set anew: 59 s.
        assert_eq!(next_probe_ms(10_000, 60_000, Some(1000)), 59_000);
        // Silent for 75 s, between probes: the timer.
        assert_eq!(next_probe_ms(4000, 60_000, Some(75_000)), 4000);
        assert_eq!(next_probe_ms(4000, 60_000, None), 60_000);
    }

    #[test]
    fn only_a_closed_socket_is_an_orphan() {
        assert!(is_orphan(State::FinWait2, None));
        assert!(!is_orphan(State::FinWait2, Some(7)));
        // Waiting to be accepted.
        assert!(!is_orphan(State::Established, None));
        assert!(!keepalive_acts(State::FinWait2, true) && keepalive_acts(State::FinWait2, false));
        assert_eq!(orphan_retries(0), 8);
    }
}
