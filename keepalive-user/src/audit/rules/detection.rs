//! How long a dead peer goes unnoticed.

use super::{Advice, Explanation};
use crate::{
    audit::{
        context::{Context, Socket},
        finding::Evidence,
        group::{Group, Hit},
        rule::Rule,
    },
    format::Millis,
};

/// Data that is retried for longer than this is worth a finding. The kernel's default is three times as long.
const LONG_MS: u64 = 300_000;

/// A dead peer is noticed later than was asked for. Data in flight counts here if TCP_USER_TIMEOUT is set; if not,
/// [`no_user_timeout`] judges it.
pub fn slow<'a>(context: &Context<'a>, socket: &Socket<'a>) -> Option<Hit<'a>> {
    let within = context.yardstick.wanted.detect_within_ms?;
    if !socket.is_connection() {
        return None;
    }
    let late = |ms: Option<u64>| ms.is_none_or(|ms| ms > within);
    let bounded = socket.set.user_timeout_ms > 0;
    (late(idle_ms(socket)) || bounded && late(socket.row.detect_data_ms))
        .then(|| Hit::plain(Rule::SlowDetection))
}

/// Until a dead peer is noticed while the connection is idle, in milliseconds. `None` = never: without keepalive an idle
/// connection sends nothing that could stay unanswered.
fn idle_ms(socket: &Socket<'_>) -> Option<u64> {
    socket.row.detect_idle_ms.filter(|_| socket.set.keepalive)
}

pub fn explain_slow(group: &Group<'_>, context: &Context<'_>) -> Explanation {
    let within = context
        .yardstick
        .wanted
        .detect_within_ms
        .unwrap_or_default();
    let idle = if group.sockets().all(|socket| idle_ms(socket).is_some()) {
        group.most(idle_ms)
    } else {
        None
    };
    let mut evidence = Evidence::default()
        .with("detect_idle_ms", idle)
        .with("detect_within_ms", within);
    let idle_said = match idle {
        Some(ms) => format!("after {}", Millis(ms)),
        None => "never".to_owned(),
    };
    let mut why = format!("While the connection is idle a dead peer is noticed {idle_said}");
    if group.first.set.user_timeout_ms > 0 {
        let data = group.most(|socket| socket.row.detect_data_ms);
        evidence = evidence.with("detect_data_max_ms", data);
        if let Some(ms) = data {
            why += &format!(", with data in flight after {}", Millis(ms));
        }
    }
    Explanation {
        evidence,
        why: format!("{why}; {} was asked for.", Millis(within)),
        advice: Advice::Settings,
    }
}

/// Only retransmission bounds the time that unacknowledged data is retried.
pub fn no_user_timeout<'a>(context: &Context<'a>, socket: &Socket<'a>) -> Option<Hit<'a>> {
    if !socket.is_connection() || socket.set.user_timeout_ms > 0 {
        return None;
    }
    let rule = Rule::NoUserTimeout;
    let (limit, severity) = match context.yardstick.wanted.detect_within_ms {
        Some(within) => (within, rule.worst()),
        None => (LONG_MS, rule.severity()),
    };
    (socket.row.detect_data_ms? > limit).then_some(Hit {
        severity,
        hop: None,
    })
}

pub fn explain_no_user_timeout(group: &Group<'_>, context: &Context<'_>) -> Explanation {
    let data = group.most(|socket| socket.row.detect_data_ms);
    let mut evidence = Evidence::default().with("detect_data_max_ms", data);
    if let Some(within) = context.yardstick.wanted.detect_within_ms {
        evidence = evidence.with("detect_within_ms", within);
    }
    Explanation {
        evidence,
        why: format!(
            "If the peer dies with data in flight, keepalive sends no probe and the data is retried \
             for {}.",
            Millis(data.unwrap_or_default())
        ),
        advice: Advice::UserTimeout(context.target.user_timeout_ms()),
    }
}
