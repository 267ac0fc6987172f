//! Rules about namespaces, listeners and processes, not about single connections.

use std::collections::{HashMap, HashSet};

use super::{Advice, Explanation};
use crate::{
    audit::{
        apps,
        context::{Context, Socket},
        finding::Evidence,
        group::{Group, Hit, gather},
        rule::Rule,
    },
    event::{Process, State},
    format::Millis,
    snapshot::Namespace,
};

/// Probes per second of one process that are worth a finding: 750 connections with Go's default of 15 s.
const NOISY_PER_SECOND: f64 = 50.0;

/// It has the kernel's own values (include/net/tcp.h), with which every namespace begins.
fn is_untuned(netns: &Namespace) -> bool {
    (netns.keepidle_ms, netns.keepintvl_ms, netns.keepcnt) == (7_200_000, 75_000, 9)
}

/// The sysctls of katrace's own namespace, if somebody changed them.
pub fn tuned_host(context: &Context<'_>) -> Option<Namespace> {
    context.host.own.filter(|own| !is_untuned(own))
}

/// Sockets that have the kernel's defaults, while somebody has changed those of katrace's own namespace.
pub fn not_tuned<'a>(context: &Context<'a>, own: &Namespace) -> Vec<Group<'a>> {
    let untuned: HashSet<u32> = context
        .namespaces
        .iter()
        .filter(|netns| netns.netns != own.netns && is_untuned(netns))
        .map(|netns| netns.netns)
        .collect();
    gather(context.sockets.iter().filter_map(|socket| {
        let concerned = socket.is_connection() || socket.is_listener() && !socket.is_local();
        (untuned.contains(&socket.row.netns)
            && concerned
            && socket.set.keepalive
            && socket.inherits_default())
        .then(|| {
            let hit = Hit::plain(Rule::NetnsNotTuned);
            (socket.row.netns, *socket, hit)
        })
    }))
}

pub fn explain_not_tuned(group: &Group<'_>, own: &Namespace) -> Explanation {
    let seconds = (own.keepidle_ms / 1000, own.keepintvl_ms / 1000, own.keepcnt);
    let enter = match group.process() {
        Some(process) => format!("nsenter --net=/proc/{}/ns/net ", process.pid),
        None => String::new(),
    };
    let values = [
        ("time", seconds.0),
        ("intvl", seconds.1),
        ("probes", seconds.2.into()),
    ];
    let mut fix: Vec<String> = values
        .iter()
        .map(|(name, value)| format!("{enter}sysctl -w net.ipv4.tcp_keepalive_{name}={value}"))
        .collect();
    fix.push(format!(
        "docker run --sysctl net.ipv4.tcp_keepalive_time={} …, or securityContext.sysctls of the pod, \
         so that it lasts",
        seconds.0
    ));
    Explanation {
        evidence: Evidence::default()
            .with("netns", u64::from(group.first.row.netns))
            .with("keepidle_ms", group.first.set.idle_ms)
            .with("host_keepidle_ms", own.keepidle_ms)
            .with("host_keepintvl_ms", own.keepintvl_ms)
            .with("host_keepcnt", u64::from(own.keepcnt)),
        why: format!(
            "The host's sysctls say {} + {} × {} s, but this network namespace has its own, still the \
             kernel's 7200 + 9 × 75 s: a dead peer goes unnoticed for over two hours.",
            seconds.0, seconds.2, seconds.1
        ),
        advice: Advice::Lines(fix),
    }
}

/// How many of the connections of each listener have keepalive, by network namespace and port.
pub struct Accepted(HashMap<(u32, u16), Count>);

#[derive(Default)]
struct Count {
    with: u64,
    without: u64,
}

impl Accepted {
    /// Counts the established connections of listeners.
    pub fn of(context: &Context<'_>) -> Self {
        let mut counts: HashMap<_, Count> = HashMap::new();
        let established = context
            .sockets
            .iter()
            .filter(|socket| socket.row.state == State::Established);
        for socket in established.filter(|socket| context.is_served(socket.row)) {
            let count = counts.entry(key(socket)).or_default();
            if socket.set.keepalive {
                count.with += 1;
            } else {
                count.without += 1;
            }
        }
        Self(counts)
    }

    fn count(&self, socket: &Socket<'_>) -> (u64, u64) {
        self.0
            .get(&key(socket))
            .map_or((0, 0), |count| (count.with, count.without))
    }

    /// Neither the listener nor the program after accept switches keepalive on.
    pub fn judge<'a>(&self, socket: &Socket<'a>) -> Option<Hit<'a>> {
        if !socket.is_listener() || socket.is_local() || socket.set.keepalive {
            return None;
        }
        let sets_later = match self.count(socket) {
            (0, 0) => socket
                .row
                .owner
                .process
                .as_ref()
                .is_some_and(|process| apps::sets_after_accept(&process.comm)),
            (with, _) => with > 0,
        };
        (!sets_later).then(|| Hit::plain(Rule::ListenerWithoutKeepalive))
    }

    pub fn explain(&self, group: &Group<'_>) -> Explanation {
        let (_, without) = self.count(&group.first);
        let seen = match without {
            0 => "and no accepted socket is there to show that it is set later".to_owned(),
            many => format!("and so do the {many} accepted sockets at this moment"),
        };
        Explanation {
            evidence: Evidence::default()
                .with("lport", u64::from(group.first.row.lport))
                .with("accepted_without_keepalive", without),
            why: format!(
                "Accepted sockets inherit SO_KEEPALIVE from their listener, which lacks it, {seen}: \
                 clients that vanish are never noticed."
            ),
            advice: Advice::Settings,
        }
    }
}

fn key(socket: &Socket<'_>) -> (u32, u16) {
    (socket.row.netns, socket.row.lport)
}

/// Probes per second of a live, idle connection: one in each idle time.
fn rate(socket: &Socket<'_>) -> f64 {
    1000.0 / socket.set.idle_ms.max(1) as f64
}

/// Processes that send very many probes.
pub fn noisy<'a>(context: &Context<'a>) -> Vec<Group<'a>> {
    let probing = context.sockets.iter().filter_map(|socket| {
        let process: &Process = socket.row.owner.process.as_ref()?;
        let probes = socket.row.state == State::Established && socket.set.keepalive;
        probes.then(|| (process.pid, *socket, Hit::plain(Rule::Noisy)))
    });
    let mut groups = gather(probing);
    groups.retain(|group| total_rate(group) > NOISY_PER_SECOND);
    groups
}

fn total_rate(group: &Group<'_>) -> f64 {
    group.sockets().map(rate).sum()
}

pub fn explain_noisy(group: &Group<'_>, context: &Context<'_>) -> Explanation {
    let shortest = group.least(|socket| Some(socket.set.idle_ms)).unwrap_or(0);
    let better = context.target.idle_s * 1000;
    let fix = if shortest < better {
        Advice::Idle(context.target.idle_s)
    } else {
        Advice::Lines(vec![
            "share connections, or close idle ones: the idle time is already as long as it may be"
                .to_owned(),
        ])
    };
    Explanation {
        evidence: Evidence::default()
            .with_rate("probes_per_second", total_rate(group))
            .with("keepidle_min_ms", shortest),
        why: format!(
            "With idle peers the process sends {:.0} probes a second, the first of each connection \
             after {}: processors and radios wake for it.",
            total_rate(group),
            Millis(shortest)
        ),
        advice: fix,
    }
}
