//! The cases and counterparts of every rule.

use super::host::{
    Case, OWN, POD, accepted, bare, every_second, healthy, in_pod, l7, listener, nlb, of, row, set,
};
use crate::{
    audit::{Hop, Resets, Rule},
    snapshot::{Origin, Row, Setting},
};

/// A rule, a description, a case with a finding, and a counterpart without one. The two differ in one thing.
type Pair = (Rule, &'static str, Case, Case);

/// The cases of all rules.
pub fn cases() -> Vec<Pair> {
    [
        now(),
        path(),
        no_keepalive(),
        detection(),
        user_timeout(),
        namespaces(),
        processes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A TCP_USER_TIMEOUT that the program set, in milliseconds.
fn user_timeout_of(ms: u32) -> Option<Setting<u32>> {
    set(ms, Origin::Socket)
}

/// Connections in trouble.
fn now() -> Vec<Pair> {
    vec![
        (
            Rule::DyingNow,
            "two probes out; the peer was heard",
            row(Row {
                unanswered: 2,
                ..healthy()
            }),
            row(healthy()),
        ),
        (
            Rule::DyingNow,
            "one probe out for longer than a round trip; its answer may be on its way",
            row(Row {
                unanswered: 1,
                next_probe_ms: Some(9000),
                ..healthy()
            }),
            row(Row {
                unanswered: 1,
                next_probe_ms: Some(9900),
                ..healthy()
            }),
        ),
        (
            Rule::ProbesSuspended,
            "unacknowledged and silent; an upload that is acknowledged all the time",
            row(Row {
                unacked_bytes: 100,
                silence_ms: Some(61_000),
                ..healthy()
            }),
            row(Row {
                unacked_bytes: 1_000_000,
                silence_ms: Some(20),
                ..healthy()
            }),
        ),
        (
            Rule::ProbesSuspended,
            "nothing is unacknowledged",
            row(Row {
                unacked_bytes: 1,
                silence_ms: Some(61_000),
                ..healthy()
            }),
            row(Row {
                silence_ms: Some(61_000),
                ..healthy()
            }),
        ),
    ]
}

/// Hops of the path.
fn path() -> Vec<Pair> {
    vec![
        (
            Rule::IdleExceedsPath,
            "the hop forgets when the first probe is due; a second later",
            row(healthy()).path(Hop::of_timeout("60s", 60_000)),
            row(healthy()).path(Hop::of_timeout("61s", 61_000)),
        ),
        (
            Rule::IdleExceedsPath,
            "the namespace's own conntrack counts, not the profile's default",
            row(healthy()).path(nlb()).live("aws-nlb", OWN, 30_000),
            row(healthy()).path(nlb()).live("aws-nlb", POD, 30_000),
        ),
        (
            Rule::L7Hop,
            "the hop ends TCP; the hop lets probes pass",
            row(healthy()).path(l7()),
            row(healthy()).path(Hop {
                timeout_ms: 61_000,
                probe_resets: Resets::NotStated,
                ..l7()
            }),
        ),
    ]
}

/// Idle connections without keepalive.
fn no_keepalive() -> Vec<Pair> {
    vec![
        (
            Rule::NoKeepalive,
            "idle for an hour; for a minute",
            row(bare()),
            row(Row {
                silence_ms: Some(60_000),
                ..bare()
            }),
        ),
        (
            Rule::NoKeepalive,
            "the peer is another host; the peer is this one",
            row(bare()),
            row(Row {
                laddr: [127, 0, 0, 1].into(),
                raddr: [127, 0, 0, 1].into(),
                ..bare()
            }),
        ),
        (
            Rule::NoKeepalive,
            "the peer is another host; an address of this host",
            row(bare()),
            row(Row {
                raddr: [10, 0, 0, 1].into(),
                ..bare()
            }),
        ),
        (
            Rule::NoKeepalive,
            "keepalive is off; nobody could tell",
            row(bare()),
            row(Row {
                keepalive: None,
                ..bare()
            }),
        ),
    ]
}

/// How long a dead peer goes unnoticed.
fn detection() -> Vec<Pair> {
    vec![
        (
            Rule::SlowDetection,
            "noticed after 90 s, 89 s wanted; 90 s wanted",
            row(healthy()).within(89_000),
            row(healthy()).within(90_000),
        ),
        (
            Rule::SlowDetection,
            "data in flight is bounded by ten minutes; by the same as the probes",
            row(Row {
                user_timeout_ms: user_timeout_of(600_000),
                detect_data_ms: Some(600_000),
                keepcnt: set(3, Origin::Default),
                ..healthy()
            })
            .within(90_000),
            row(healthy()).within(90_000),
        ),
        (
            Rule::NoUserTimeout,
            "retried for a quarter of an hour; tcp_retries2 bounds it",
            row(Row {
                user_timeout_ms: user_timeout_of(0),
                detect_data_ms: Some(924_600),
                ..healthy()
            }),
            row(Row {
                user_timeout_ms: user_timeout_of(0),
                detect_data_ms: Some(102_200),
                ..healthy()
            }),
        ),
    ]
}

/// TCP_USER_TIMEOUT against the keepalive settings.
fn user_timeout() -> Vec<Pair> {
    vec![
        (
            Rule::UserTimeoutTooShort,
            "over when the second probe is due; a probe later",
            row(Row {
                user_timeout_ms: user_timeout_of(70_000),
                ..healthy()
            }),
            row(Row {
                user_timeout_ms: user_timeout_of(90_000),
                ..healthy()
            }),
        ),
        (
            Rule::UserTimeoutTooShort,
            "three probes were meant; one was",
            row(Row {
                user_timeout_ms: user_timeout_of(5000),
                ..healthy()
            }),
            row(Row {
                user_timeout_ms: user_timeout_of(5000),
                keepcnt: set(1, Origin::Socket),
                ..healthy()
            }),
        ),
        (
            Rule::UserTimeoutOverridesKeepcnt,
            "ends after two probes, three were chosen; after three",
            row(Row {
                user_timeout_ms: user_timeout_of(80_000),
                ..healthy()
            }),
            row(Row {
                user_timeout_ms: user_timeout_of(80_001),
                ..healthy()
            }),
        ),
        (
            Rule::UserTimeoutOverridesKeepcnt,
            "somebody chose the count; it is the kernel's own",
            row(Row {
                keepcnt: set(9, Origin::Netns),
                ..healthy()
            }),
            row(Row {
                keepcnt: set(9, Origin::Default),
                ..healthy()
            }),
        ),
    ]
}

/// Namespaces with other sysctls than the host.
fn namespaces() -> Vec<Pair> {
    vec![
        (
            Rule::NetnsNotTuned,
            "the host is tuned, the pod is not; the pod is tuned too",
            row(in_pod()).tuned_host(),
            row(in_pod()).tuned_host().tuned_pod(),
        ),
        (
            Rule::NetnsNotTuned,
            "the socket takes the namespace's times; it has its own",
            row(in_pod()).tuned_host(),
            row(Row {
                netns: POD,
                ..healthy()
            })
            .tuned_host(),
        ),
        (
            Rule::NetnsNotTuned,
            "the host is tuned; nobody tuned anything",
            row(in_pod()).tuned_host(),
            row(in_pod()),
        ),
    ]
}

/// Listeners, and processes with many probes.
fn processes() -> Vec<Pair> {
    vec![
        (
            Rule::ListenerWithoutKeepalive,
            "the listener says nothing; it hands keepalive down",
            Case::of(vec![listener(), accepted(false)]),
            Case::of(vec![
                Row {
                    keepalive: Some(true),
                    ..listener()
                },
                accepted(false),
            ]),
        ),
        (
            Rule::ListenerWithoutKeepalive,
            "accepted sockets have none; the program sets it after accept",
            Case::of(vec![listener(), accepted(false)]),
            Case::of(vec![listener(), accepted(true)]),
        ),
        (
            Rule::ListenerWithoutKeepalive,
            "an unknown program; one that is known to set it after accept",
            row(listener()),
            row(Row {
                owner: of("sshd", 1),
                ..listener()
            }),
        ),
        (
            Rule::ListenerWithoutKeepalive,
            "open to all; to this host alone",
            row(listener()),
            row(Row {
                laddr: [127, 0, 0, 1].into(),
                ..listener()
            }),
        ),
        (
            Rule::Noisy,
            "51 connections probed each second; 50",
            Case::of(vec![every_second(); 51]),
            Case::of(vec![every_second(); 50]),
        ),
    ]
}
