//! Rules about idle connections and the hops of the path.

use super::{Advice, Explanation};
use crate::{
    audit::{
        context::{Context, Socket},
        finding::Evidence,
        group::{Group, Hit},
        path::Hop,
        rule::Rule,
    },
    format::Millis,
};

/// The first probe comes after a hop has forgotten the connection.
pub fn idle_exceeds<'a>(context: &Context<'a>, socket: &Socket<'a>) -> Option<Hit<'a>> {
    if !socket.is_connection() || !socket.set.keepalive {
        return None;
    }
    let hop = context.tightest(socket.row.netns, Hop::passes_probes)?;
    (socket.set.idle_ms >= hop.1).then(|| Hit::at(Rule::IdleExceedsPath, hop))
}

pub fn explain_idle_exceeds(group: &Group<'_>) -> Explanation {
    let idle = group.first.set.idle_ms;
    let (hop, timeout) = group.hit.hop_or_none();
    Explanation {
        evidence: Evidence::default()
            .with("keepidle_ms", idle)
            .with("path_timeout_ms", timeout),
        why: format!(
            "{hop} forgets an idle connection after {}, the first probe comes after {}: whatever is \
             sent next is dropped or reset.",
            Millis(timeout),
            Millis(idle)
        ),
        advice: Advice::Settings,
    }
}

/// No keepalive, and the peer was not heard for long.
pub fn no_keepalive<'a>(context: &Context<'a>, socket: &Socket<'a>) -> Option<Hit<'a>> {
    if !socket.is_connection() || socket.set.keepalive {
        return None;
    }
    let hop = context.tightest(socket.row.netns, Hop::passes_probes);
    let long = context.yardstick.idle_ms;
    let long = hop.map_or(long, |(_, timeout)| timeout.min(long));
    (socket.row.silence_ms? >= long).then(|| match hop {
        Some(hop) => Hit {
            severity: Rule::NoKeepalive.worst(),
            hop: Some(hop),
        },
        None => Hit::plain(Rule::NoKeepalive),
    })
}

pub fn explain_no_keepalive(group: &Group<'_>) -> Explanation {
    let silence = group.most(|socket| socket.row.silence_ms);
    let evidence = Evidence::default().with("silence_max_ms", silence);
    let silent = Millis(silence.unwrap_or_default());
    match group.hit.hop {
        Some((hop, timeout)) => Explanation {
            evidence: evidence.with("path_timeout_ms", timeout),
            why: format!(
                "The peer was last heard {silent} ago, {} forgets after {}, and nothing will ever \
                 tell the process.",
                hop.name,
                Millis(timeout)
            ),
            advice: Advice::Settings,
        },
        None => Explanation {
            evidence,
            why: format!(
                "The peer was last heard {silent} ago; if it or the path is gone, a process that \
                 waits for it waits for ever."
            ),
            advice: Advice::Settings,
        },
    }
}

/// Keepalive is on, but a proxy on the path answers the probes.
pub fn l7<'a>(context: &Context<'a>, socket: &Socket<'a>) -> Option<Hit<'a>> {
    if !socket.is_connection() || !socket.set.keepalive {
        return None;
    }
    let hop = context.tightest(socket.row.netns, |hop| !hop.passes_probes())?;
    Some(Hit::at(Rule::L7Hop, hop))
}

pub fn explain_l7(group: &Group<'_>) -> Explanation {
    let (hop, timeout) = group.hit.hop_or_none();
    Explanation {
        evidence: Evidence::default()
            .with("keepidle_ms", group.first.set.idle_ms)
            .with("path_timeout_ms", timeout),
        why: format!(
            "{hop} ends TCP: it answers the probes itself, counts bytes only, and closes after {} \
             without data.",
            Millis(timeout)
        ),
        advice: Advice::Lines(vec![
            format!(
                "let the application send something more often than every {}: HTTP/2 or WebSocket \
                 ping, gRPC keepalive, SELECT 1",
                Millis(timeout)
            ),
            format!(
                "or close idle connections of a pool before {}, or raise the idle timeout of {hop}",
                Millis(timeout)
            ),
        ]),
    }
}
