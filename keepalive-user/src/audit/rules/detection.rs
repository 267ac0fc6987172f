//! How long a dead peer goes unnoticed.

use super::{Advice, Told};
use crate::{
    audit::{
        context::{Context, Socket},
        finding::Evidence,
        group::{Group, Hit},
        rule::Rule,
    },
    format::Millis,
};

/// Retrying lost data for longer than this surprises people; the kernel's default is three times it.
const LONG_MS: u64 = 300_000;

/// Noticed later than asked for. Data in flight counts here where TCP_USER_TIMEOUT bounds it, and
/// belongs to [`no_user_timeout`] where nothing does.
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

/// `None` = never: without keepalive nobody asks.
fn idle_ms(socket: &Socket<'_>) -> Option<u64> {
    socket.row.detect_idle_ms.filter(|_| socket.set.keepalive)
}

pub fn tell_slow(group: &Group<'_>, context: &Context<'_>) -> Told {
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
    Told {
        evidence,
        why: format!("{why}; {} was asked for.", Millis(within)),
        advice: Advice::Settings,
    }
}

/// Nothing but retransmission bounds unacknowledged data.
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

pub fn tell_no_user_timeout(group: &Group<'_>, context: &Context<'_>) -> Told {
    let data = group.most(|socket| socket.row.detect_data_ms);
    let mut evidence = Evidence::default().with("detect_data_max_ms", data);
    if let Some(within) = context.yardstick.wanted.detect_within_ms {
        evidence = evidence.with("detect_within_ms", within);
    }
    Told {
        evidence,
        why: format!(
            "If the peer dies with data in flight, keepalive sends no probe and the data is retried \
             for {}.",
            Millis(data.unwrap_or_default())
        ),
        advice: Advice::UserTimeout(context.target.user_timeout_ms()),
    }
}
