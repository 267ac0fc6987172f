//! Connections that are in trouble at this moment.

use super::{Advice, Explanation};
use crate::{
    audit::{
        context::{Context, Socket},
        finding::Evidence,
        group::{Group, Hit},
        rule::Rule,
    },
    format::{Bytes, Millis},
    snapshot::timeouts,
};

/// A probe or window probe is unanswered. The answer to a first probe may still be on its way, so that probe counts only
/// after one retransmission timeout.
pub fn dying<'a>(socket: &Socket<'a>) -> Option<Hit<'a>> {
    let row = socket.row;
    if row.unanswered == 0 || socket.is_listener() {
        return None;
    }
    let since_probe = row
        .next_probe_ms
        .map(|next| socket.set.intvl_ms.saturating_sub(next));
    let on_its_way = row.unanswered == 1
        && since_probe
            .is_some_and(|since| since <= u64::from(row.rto_ms).max(timeouts::RTO_MIN_MS));
    (!on_its_way).then(|| Hit::plain(Rule::DyingNow))
}

/// Milliseconds until the kernel ends the connection if the peer stays silent (`tcp_keepalive_timer`); `None` where
/// another timer decides.
fn dies_in_ms(socket: &Socket<'_>) -> Option<u64> {
    let next = socket.row.next_probe_ms?;
    let intvl = socket.set.intvl_ms.max(1);
    let more = match u64::from(socket.set.user_timeout_ms) {
        0 => u64::from(socket.set.cnt.saturating_sub(socket.row.unanswered)),
        limit => limit
            .saturating_sub(socket.row.silence_ms?.saturating_add(next))
            .div_ceil(intvl),
    };
    Some(next.saturating_add(more.saturating_mul(intvl)))
}

pub fn explain_dying(group: &Group<'_>) -> Explanation {
    let unanswered = group.most(|socket| Some(socket.row.unanswered.into()));
    let silence = group.most(|socket| socket.row.silence_ms);
    let dies_in = group.least(dies_in_ms);
    let mut evidence = Evidence::default()
        .with("unanswered_max", unanswered)
        .with("keepcnt", u64::from(group.first.set.cnt));
    if let Some(silence) = silence {
        evidence = evidence.with("silence_max_ms", silence);
    }
    let mut why = format!(
        "The peer has left {} probes in a row unanswered",
        unanswered.unwrap_or_default()
    );
    if let Some(ms) = dies_in {
        evidence = evidence.with("dies_in_ms", ms);
        why += &format!(
            "; if it stays silent, the kernel ends the connection in {}",
            Millis(ms)
        );
    }
    let row = group.first.row;
    Explanation {
        evidence,
        why: why + ".",
        advice: Advice::Lines(vec![
            format!(
                "no setting brings a peer back: look at {} and the way to it",
                row.raddr
            ),
            format!(
                "katrace -a {} -D {} -e timeout,answered   # shows whether it dies or comes back",
                row.raddr, row.rport
            ),
        ]),
    }
}

/// A probe is due, but data is unacknowledged. So the timer sends no probe and is only set again.
pub fn suspended<'a>(socket: &Socket<'a>) -> Option<Hit<'a>> {
    let row = socket.row;
    let due = row
        .silence_ms
        .is_some_and(|silence| silence >= socket.set.idle_ms);
    (socket.set.keepalive
        && !socket.is_listener()
        && row.unacked_bytes > 0
        && row.unanswered == 0
        && due)
        .then(|| Hit::plain(Rule::ProbesSuspended))
}

pub fn explain_suspended(group: &Group<'_>, context: &Context<'_>) -> Explanation {
    let bytes = group.most(|socket| Some(socket.row.unacked_bytes.into()));
    let silence = group.most(|socket| socket.row.silence_ms);
    let gives_up = group.most(|socket| socket.row.detect_data_ms);
    let mut why = format!(
        "{} wait for an acknowledgement and the peer is silent for {}; until they are acknowledged \
         keepalive sends no probe",
        Bytes(bytes.unwrap_or_default()),
        Millis(silence.unwrap_or_default()),
    );
    if let Some(ms) = gives_up {
        why += &format!(", and retransmission gives up only after {}", Millis(ms));
    }
    Explanation {
        evidence: Evidence::default()
            .with("unacked_bytes_max", bytes)
            .with("silence_max_ms", silence)
            .with("keepidle_ms", group.first.set.idle_ms)
            .with("detect_data_max_ms", gives_up),
        why: why + ".",
        advice: Advice::UserTimeout(context.target.user_timeout_ms()),
    }
}
