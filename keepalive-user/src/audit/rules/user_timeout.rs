//! TCP_USER_TIMEOUT against the keepalive settings. Where it is set the kernel ignores the probe count
//! (`tcp_keepalive_timer`).

use super::{Advice, Explanation};
use crate::{
    audit::{
        context::{Effective, Socket},
        finding::Evidence,
        group::{Group, Hit},
        rule::Rule,
    },
    format::Millis,
    snapshot::Origin,
};

/// Keepalive and TCP_USER_TIMEOUT both act on an idle connection.
fn both_act(socket: &Socket<'_>) -> bool {
    socket.is_connection() && socket.set.keepalive && socket.set.user_timeout_ms > 0
}

/// The number of unanswered probes after which TCP_USER_TIMEOUT ends an idle connection. The kernel compares it when the
/// timer expires, at idle, idle + intvl, idle + 2 × intvl …, if a probe is unanswered.
fn probes_until_end(set: &Effective) -> u64 {
    u64::from(set.user_timeout_ms)
        .saturating_sub(set.idle_ms)
        .div_ceil(set.intvl_ms.max(1))
        .max(1)
}

/// The connection ends with the first unanswered probe, although the count is higher.
pub fn too_short<'a>(socket: &Socket<'a>) -> Option<Hit<'a>> {
    (both_act(socket) && socket.set.cnt > 1 && probes_until_end(&socket.set) == 1)
        .then(|| Hit::plain(Rule::UserTimeoutTooShort))
}

pub fn explain_too_short(group: &Group<'_>) -> Explanation {
    let set = &group.first.set;
    Explanation {
        evidence: numbers(set),
        why: format!(
            "TCP_USER_TIMEOUT of {} is over when the second probe would go out, {} after the peer was \
             heard: one lost probe ends a live connection.",
            Millis(set.user_timeout_ms.into()),
            Millis(set.idle_ms.saturating_add(set.intvl_ms)),
        ),
        advice: Advice::UserTimeout(agreeing_ms(set)),
    }
}

/// Somebody set the count, but another number of probes decides.
pub fn overrides_count<'a>(socket: &Socket<'a>) -> Option<Hit<'a>> {
    let chosen = socket
        .row
        .keepcnt
        .is_some_and(|count| count.from != Origin::Default);
    let probes = probes_until_end(&socket.set);
    (both_act(socket) && chosen && probes > 1 && probes != u64::from(socket.set.cnt))
        .then(|| Hit::plain(Rule::UserTimeoutOverridesKeepcnt))
}

pub fn explain_overrides_count(group: &Group<'_>) -> Explanation {
    let set = &group.first.set;
    Explanation {
        evidence: numbers(set),
        why: format!(
            "With TCP_USER_TIMEOUT set the kernel ignores TCP_KEEPCNT: the connection ends after {} \
             unanswered probes, not after {}.",
            probes_until_end(set),
            set.cnt
        ),
        advice: Advice::UserTimeout(agreeing_ms(set)),
    }
}

/// The user timeout that ends an idle connection after as many probes as the count says.
fn agreeing_ms(set: &Effective) -> u64 {
    set.idle_ms
        .saturating_add(u64::from(set.cnt).saturating_mul(set.intvl_ms))
}

fn numbers(set: &Effective) -> Evidence {
    Evidence::default()
        .with("user_timeout_ms", u64::from(set.user_timeout_ms))
        .with("keepidle_ms", set.idle_ms)
        .with("keepintvl_ms", set.intvl_ms)
        .with("keepcnt", u64::from(set.cnt))
        .with("probes_until_end", probes_until_end(set))
}
