//! Each rule has a finding on a case that is built for it. It has none on the counterpart, which differs
//! from the case only in the one thing that matters.

mod cases;
mod host;

use cases::cases;
use host::{Case, accepted, bare, healthy, in_pod, l7, listener, nlb, of, row, set};

use crate::{
    audit::{Hop, Program, Rule, Severity, Wanted, judge},
    snapshot::{Origin, Row},
};

#[test]
fn each_rule_fires_on_its_case_and_is_silent_on_the_counterpart() {
    for (rule, about, case, counterpart) in cases() {
        assert_eq!(case.rules(), [rule], "{rule:?}: {about}");
        assert_eq!(counterpart.rules(), [], "{rule:?}, counterpart: {about}");
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

    // Connections of clients are grouped by process and by peer.
    let two = Case::of(pool(100).chain(pool(101)).collect()).verdict();
    assert_eq!(two.findings.len(), 2);
    let elsewhere = pool(100).map(|row| Row { rport: 6379, ..row });
    let two = Case::of(pool(100).chain(elsewhere).collect()).verdict();
    assert_eq!(two.findings.len(), 2);

    // Connections of a server are not grouped by process: many servers have one process for each connection.
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
    // A proxy that ends TCP tells both ends when it closes a connection, and keepalive would not help.
    assert_eq!(row(bare()).path(l7()).only().severity, Severity::Warning);
    // With a path, the path's timeout decides what counts as idle for long.
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
    let target = Wanted::default().plan_or_usual();
    let quiet = judge(
        &case.snapshot,
        &case.host,
        &case.yardstick,
        target.unwrap(),
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
