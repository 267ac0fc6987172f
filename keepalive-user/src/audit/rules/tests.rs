//! Each rule fires on a case built for it and stays silent on its twin, which differs in the one
//! thing that matters.

use std::sync::Arc;

use crate::{
    audit::{
        Finding, Hop, HostFacts, Program, Resets, Rule, Severity, Verdict, Wanted, Yardstick, judge,
    },
    event::{Family, Holder, Owner, OwnerFrom, Process, State},
    snapshot::{Namespace, Origin, Row, Setting, Snapshot},
};

const OWN: u32 = 1;
const POD: u32 = 2;

/// One host under audit.
struct Case {
    snapshot: Snapshot,
    host: HostFacts,
    yardstick: Yardstick,
}

fn set<T>(value: T, from: Origin) -> Option<Setting<T>> {
    Some(Setting { value, from })
}

/// An idle connection of `app`, pid 100, to a database, that no rule has anything against.
fn healthy() -> Row {
    let process = Process {
        pid: 100,
        comm: "app".into(),
    };
    Row {
        family: Family::Ipv4,
        laddr: [10, 0, 0, 1].into(),
        lport: 40_000,
        raddr: [10, 0, 0, 2].into(),
        rport: 5432,
        state: State::Established,
        netns: OWN,
        inode: Some(7),
        owner: Arc::new(Owner {
            process: Some(process.clone()),
            holders: vec![Holder {
                process,
                fd: Some(3),
            }],
            from: Some(OwnerFrom::Scan),
        }),
        keepalive: Some(true),
        keepidle_ms: set(60_000, Origin::Socket),
        keepintvl_ms: set(10_000, Origin::Socket),
        keepcnt: set(3, Origin::Socket),
        user_timeout_ms: set(90_000, Origin::Socket),
        next_probe_ms: Some(30_000),
        unanswered: 0,
        silence_ms: Some(30_000),
        unacked_bytes: 0,
        rto_ms: 204,
        detect_idle_ms: Some(90_000),
        detect_data_ms: Some(90_000),
    }
}

/// The same without keepalive and TCP_USER_TIMEOUT, its peer silent for an hour.
fn bare() -> Row {
    Row {
        keepalive: Some(false),
        user_timeout_ms: set(0, Origin::Default),
        next_probe_ms: None,
        silence_ms: Some(3_600_000),
        detect_idle_ms: None,
        detect_data_ms: Some(102_200),
        ..healthy()
    }
}

fn listener() -> Row {
    Row {
        laddr: [0, 0, 0, 0].into(),
        lport: 8080,
        raddr: [0, 0, 0, 0].into(),
        rport: 0,
        state: State::Listen,
        next_probe_ms: None,
        silence_ms: None,
        detect_idle_ms: None,
        detect_data_ms: None,
        ..bare()
    }
}

/// A connection that the listener handed out.
fn accepted(keepalive: bool) -> Row {
    Row {
        keepalive: Some(keepalive),
        lport: 8080,
        rport: 50_000,
        silence_ms: Some(1000),
        ..bare()
    }
}

fn of(comm: &str, pid: u32) -> Arc<Owner> {
    Arc::new(Owner {
        process: Some(Process {
            pid,
            comm: comm.into(),
        }),
        ..Owner::default()
    })
}

fn netns(netns: u32, keepidle_ms: u64) -> Namespace {
    Namespace {
        netns,
        keepidle_ms,
        keepintvl_ms: 75_000,
        keepcnt: 9,
        retries2: 15,
        own: netns == OWN,
    }
}

/// A pod's connection that takes its times from the sysctls of its namespace.
fn in_pod() -> Row {
    Row {
        netns: POD,
        keepidle_ms: set(7_200_000, Origin::Default),
        keepintvl_ms: set(75_000, Origin::Default),
        keepcnt: set(9, Origin::Default),
        user_timeout_ms: set(0, Origin::Default),
        detect_idle_ms: Some(7_875_000),
        detect_data_ms: Some(102_200),
        ..healthy()
    }
}

fn l7() -> Hop {
    Hop {
        probe_resets: Resets::No,
        ..Hop::of_timeout("proxy", 45_000)
    }
}

impl Case {
    fn of(rows: Vec<Row>) -> Self {
        Self {
            snapshot: Snapshot {
                rows,
                namespaces: vec![netns(OWN, 7_200_000), netns(POD, 7_200_000)],
            },
            host: HostFacts {
                own: Some(netns(OWN, 7_200_000)),
                ..HostFacts::default()
            },
            yardstick: Yardstick {
                wanted: Wanted::default(),
                idle_ms: 300_000,
            },
        }
    }

    fn path(mut self, hop: Hop) -> Self {
        self.yardstick.wanted.hops.push(hop);
        self
    }

    fn within(mut self, ms: u64) -> Self {
        self.yardstick.wanted.detect_within_ms = Some(ms);
        self
    }

    fn tuned_host(mut self) -> Self {
        self.host.own = Some(netns(OWN, 60_000));
        self
    }

    fn tuned_pod(mut self) -> Self {
        self.snapshot.namespaces[1] = netns(POD, 60_000);
        self
    }

    fn live(mut self, name: &str, in_netns: u32, ms: u64) -> Self {
        self.host.live.insert((name.to_owned(), in_netns), ms);
        self
    }

    fn verdict(&self) -> Verdict {
        let target = Wanted {
            detect_within_ms: self.yardstick.wanted.detect_within_ms.or(Some(90_000)),
            ..self.yardstick.wanted.clone()
        };
        let target = target.plan().unwrap();
        let program = |process: &Process| Program {
            comm: process.comm.to_string(),
            ..Program::default()
        };
        judge(
            &self.snapshot,
            &self.host,
            &self.yardstick,
            target,
            &Rule::ALL,
            program,
        )
    }

    fn rules(&self) -> Vec<Rule> {
        self.verdict().findings.iter().map(|one| one.rule).collect()
    }

    fn only(&self) -> Finding {
        let mut findings = self.verdict().findings;
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings.remove(0)
    }
}

fn row(row: Row) -> Case {
    Case::of(vec![row])
}

fn nlb() -> Hop {
    Hop::of_timeout("aws-nlb", 350_000)
}

/// What each rule is about, and the same with the one thing changed.
fn cases() -> Vec<(Rule, &'static str, Case, Case)> {
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

fn every_second() -> Row {
    Row {
        keepidle_ms: set(1000, Origin::Socket),
        user_timeout_ms: set(31_000, Origin::Socket),
        next_probe_ms: Some(500),
        silence_ms: Some(500),
        ..healthy()
    }
}

#[test]
fn each_rule_fires_on_its_case_and_is_silent_on_its_twin() {
    for (rule, about, case, twin) in cases() {
        assert_eq!(case.rules(), [rule], "{rule:?}: {about}");
        assert_eq!(twin.rules(), [], "{rule:?}, the twin: {about}");
    }
    for rule in Rule::ALL {
        assert!(
            cases().iter().any(|(tested, ..)| *tested == rule),
            "{rule:?} has no case"
        );
    }
}

#[test]
fn every_finding_says_why_in_one_sentence_and_gives_lines_and_numbers() {
    for (rule, _, case, _) in cases() {
        let finding = case.only();
        let why = &finding.why;
        assert!(why.ends_with('.') && !why.contains(". "), "{rule:?}: {why}");
        assert!(why.starts_with(|c: char| c.is_uppercase()) || finding.evidence.0.len() > 1);
        assert!(!finding.fix.is_empty() && finding.fix.iter().all(|line| !line.contains('\n')));
        assert!(!finding.evidence.0.is_empty(), "{rule:?}");
        assert!((1..=3).contains(&finding.examples.len()));
    }
}

#[test]
fn four_hundred_sockets_of_a_pool_are_one_finding() {
    let pool = |pid| {
        (0..200).map(move |at| Row {
            lport: 40_000 + at,
            owner: of("app", pid),
            ..bare()
        })
    };
    let finding = Case::of(pool(100).chain(pool(100)).collect()).only();
    assert_eq!((finding.sockets, finding.pid), (400, Some(100)));
    assert_eq!(finding.examples.len(), 3);

    // Clients are told apart by process and by peer …
    let two = Case::of(pool(100).chain(pool(101)).collect()).verdict();
    assert_eq!(two.findings.len(), 2);
    let elsewhere = pool(100).map(|row| Row { rport: 6379, ..row });
    let two = Case::of(pool(100).chain(elsewhere).collect()).verdict();
    assert_eq!(two.findings.len(), 2);

    // … the processes of one server are not: many have one for each connection.
    let served = (0..40).map(|at| Row {
        owner: of("server", 200 + u32::from(at)),
        rport: 50_000 + at,
        silence_ms: Some(3_600_000),
        ..accepted(false)
    });
    let own_listener = Row {
        keepalive: Some(true),
        ..listener()
    };
    let finding = Case::of(served.chain([own_listener]).collect()).only();
    assert_eq!((finding.sockets, finding.pid), (40, None));
    assert_eq!(finding.comm.as_deref(), Some("server"));
    assert!(finding.evidence.0.contains(&("processes", Some(40.0))));
}

#[test]
fn what_is_asked_for_makes_it_worse() {
    assert_eq!(row(bare()).only().severity, Severity::Warning);
    let on_path = row(bare()).path(nlb()).only();
    assert_eq!(on_path.severity, Severity::Critical);
    // With a path, long is what the path calls long.
    let minutes = Row {
        silence_ms: Some(60_000),
        ..bare()
    };
    let short = row(minutes).path(Hop::of_timeout("45s", 45_000));
    assert_eq!(short.rules(), [Rule::NoKeepalive]);

    let unbounded = Row {
        user_timeout_ms: set(0, Origin::Default),
        detect_data_ms: Some(102_200),
        ..healthy()
    };
    let finding = row(unbounded).within(90_000).only();
    assert_eq!(
        (finding.rule, finding.severity),
        (Rule::NoUserTimeout, Severity::Warning)
    );
}

#[test]
fn the_most_dangerous_comes_first_and_ignored_rules_are_silent() {
    let case = Case::of(vec![
        listener(),
        bare(),
        Row {
            unanswered: 3,
            ..healthy()
        },
    ]);
    assert_eq!(
        case.rules(),
        [
            Rule::DyingNow,
            Rule::NoKeepalive,
            Rule::ListenerWithoutKeepalive
        ]
    );
    let verdict = case.verdict();
    assert!(verdict.reaches(Severity::Critical) && verdict.count(Severity::Warning) == 1);
    let target = Wanted {
        detect_within_ms: Some(90_000),
        hops: Vec::new(),
    };
    let quiet = judge(
        &case.snapshot,
        &case.host,
        &case.yardstick,
        target.plan().unwrap(),
        &[Rule::NoKeepalive],
        |_| Program::default(),
    );
    assert_eq!(quiet.findings.len(), 1);
    assert!(!quiet.reaches(Severity::Critical));
}

#[test]
fn what_nobody_could_read_is_counted_not_judged() {
    let unreadable = Row {
        keepidle_ms: None,
        unanswered: 9,
        ..bare()
    };
    let verdict = Case::of(vec![unreadable, healthy()]).verdict();
    assert_eq!((verdict.sockets, verdict.unknown), (1, 1));
    assert!(verdict.findings.is_empty());
}

#[test]
fn fixes_speak_the_programs_language() {
    let fix = |owner, rport| {
        let row = Row {
            owner,
            rport,
            ..bare()
        };
        Case::of(vec![row]).only().fix
    };
    let generic = fix(of("app", 1), 5432);
    assert!(generic.contains(&"setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60)".to_owned()));
    assert!(generic.contains(&"setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 90000)".to_owned()));
    let java = fix(of("java", 1), 5432);
    assert!(java.contains(&"tcpKeepAlive=true".to_owned()), "{java:?}");
    let inherits = row(in_pod()).within(90_000).verdict();
    let slow = inherits
        .findings
        .iter()
        .find(|one| one.rule == Rule::SlowDetection);
    assert!(
        slow.unwrap()
            .fix
            .contains(&"net.ipv4.tcp_keepalive_time = 60".to_owned())
    );
}

#[test]
fn hostile_numbers_do_not_overflow() {
    let extreme = Row {
        keepidle_ms: set(u64::MAX, Origin::Socket),
        keepintvl_ms: set(u64::MAX, Origin::Socket),
        keepcnt: set(u32::MAX, Origin::Socket),
        user_timeout_ms: set(u32::MAX, Origin::Socket),
        next_probe_ms: Some(u64::MAX),
        unanswered: 5,
        silence_ms: Some(u64::MAX),
        unacked_bytes: u32::MAX,
        ..healthy()
    };
    let zero = Row {
        keepidle_ms: set(0, Origin::Socket),
        keepintvl_ms: set(0, Origin::Socket),
        keepcnt: set(0, Origin::Socket),
        ..healthy()
    };
    let case = Case::of(vec![extreme, zero]).path(nlb()).within(90_000);
    assert!(case.verdict().reaches(Severity::Critical));
}
