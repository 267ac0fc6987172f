//! The table of cases and twins.

use super::host::{
    Case, OWN, POD, accepted, bare, every_second, healthy, in_pod, l7, listener, nlb, of, row, set,
};
use crate::{
    audit::{Hop, Resets, Rule},
    snapshot::{Origin, Row},
};

/// What each rule is about, and the same with the one thing changed.
pub fn cases() -> Vec<(Rule, &'static str, Case, Case)> {
    let ut = |ms| set(ms, Origin::Socket);
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
                user_timeout_ms: ut(600_000),
                detect_data_ms: Some(600_000),
                keepcnt: set(3, Origin::Default),
                ..healthy()
            })
            .within(90_000),
            row(healthy()).within(90_000),
        ),
        (
            Rule::UserTimeoutTooShort,
            "over when the second probe is due; a probe later",
            row(Row {
                user_timeout_ms: ut(70_000),
                ..healthy()
            }),
            row(Row {
                user_timeout_ms: ut(90_000),
                ..healthy()
            }),
        ),
        (
            Rule::UserTimeoutTooShort,
            "three probes were meant; one was",
            row(Row {
                user_timeout_ms: ut(5000),
                ..healthy()
            }),
            row(Row {
                user_timeout_ms: ut(5000),
                keepcnt: set(1, Origin::Socket),
                ..healthy()
            }),
        ),
        (
            Rule::UserTimeoutOverridesKeepcnt,
            "ends after two probes, three were chosen; after three",
            row(Row {
                user_timeout_ms: ut(80_000),
                ..healthy()
            }),
            row(Row {
                user_timeout_ms: ut(80_001),
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
        (
            Rule::NoUserTimeout,
            "retried for a quarter of an hour; tcp_retries2 bounds it",
            row(Row {
                user_timeout_ms: ut(0),
                detect_data_ms: Some(924_600),
                ..healthy()
            }),
            row(Row {
                user_timeout_ms: ut(0),
                detect_data_ms: Some(102_200),
                ..healthy()
            }),
        ),
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
