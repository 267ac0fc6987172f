use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::event::{Family, Kind, Settings, Socket, State, Time};

const INODE: u64 = 77;
/// No process has it: above the kernel's highest pid_max.
const NOBODY: u32 = 5_000_000;

fn known(pid: u32, start_ticks: u64, comm: &str) -> Known {
    Known {
        pid,
        start_ticks,
        comm: comm.into(),
    }
}

fn evidence(pid: u32, start_ticks: u64, act: Act) -> Evidence {
    let mut comm = [0; 16];
    comm[..6].copy_from_slice(b"kernel");
    // Some nanoseconds into the tick, as the kernel has them.
    let start_ns = start_ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second()) + 5;
    Evidence {
        pid,
        start_ns,
        comm,
        act,
    }
}

fn event(inode: Option<u64>, orphan: bool, evidence: Option<Evidence>) -> Decoded {
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Decoded {
        time: Time(0),
        socket: Socket {
            family: Family::Ipv4,
            laddr: nowhere,
            lport: 1,
            raddr: nowhere,
            rport: 2,
            state: State::Established,
            netns: 1,
            inode,
            settings: Settings {
                keepidle_ms: 1,
                keepintvl_ms: 1,
                keepcnt: 1,
                user_timeout_ms: 0,
            },
            silence_ms: None,
        },
        kind: Kind::Probe {
            probe: 1,
            sent: true,
        },
        orphan,
        evidence,
    }
}

/// As after a pass that found this, so that none is due.
fn enricher(found: &[(Known, &[(u64, u32)])], filters: &Filters) -> Enricher {
    Enricher {
        table: Table::of(found),
        passed: Some(Instant::now()),
        ..Enricher::new(filters)
    }
}

fn owner(enricher: &mut Enricher, event: Decoded) -> Arc<Owner> {
    match enricher.enrich_now(event) {
        Outcome::Event(event) => event.owner,
        other => panic!("{other:?}"),
    }
}

fn pid(owner: &Owner) -> Option<u32> {
    owner.process.as_ref().map(|process| process.pid)
}

#[test]
fn the_holder_that_connected_comes_before_the_others() {
    let found = [
        (known(10, 100, "parent"), &[(INODE, 3)][..]),
        (known(20, 200, "child"), &[(INODE, 3), (INODE, 4)][..]),
    ];
    let mut enricher = enricher(&found, &Filters::default());
    let owner = owner(
        &mut enricher,
        event(Some(INODE), false, Some(evidence(20, 200, Act::Connect))),
    );
    assert_eq!(
        (pid(&owner), owner.from),
        (Some(20), Some(OwnerFrom::Connect))
    );
    let holders: Vec<_> = owner
        .holders
        .iter()
        .map(|h| (h.process.pid, h.fd))
        .collect();
    assert_eq!(holders, [(10, Some(3)), (20, Some(3)), (20, Some(4))]);
}

#[test]
fn a_reused_pid_is_another_process() {
    let found = [
        (known(10, 100, "holder"), &[(INODE, 3)][..]),
        (known(20, 999, "newcomer"), &[(INODE, 5)][..]),
    ];
    let mut enricher = enricher(&found, &Filters::default());
    let owner = owner(
        &mut enricher,
        event(Some(INODE), false, Some(evidence(20, 200, Act::Connect))),
    );
    assert_eq!((pid(&owner), owner.from), (Some(10), Some(OwnerFrom::Scan)));
}

#[test]
fn who_gave_the_socket_away_does_not_own_it() {
    let found = [(known(30, 300, "backend"), &[(INODE, 9)][..])];
    let mut enricher = enricher(&found, &Filters::default());
    let owner = owner(
        &mut enricher,
        event(Some(INODE), false, Some(evidence(10, 100, Act::Accept))),
    );
    assert_eq!((pid(&owner), owner.from), (Some(30), Some(OwnerFrom::Scan)));
}

#[test]
fn an_orphan_names_the_last_that_is_known() {
    let found = [(known(30, 300, "seen"), &[(INODE, 9)][..])];
    let mut enricher = enricher(&found, &Filters::default());
    let by_kernel = owner(
        &mut enricher,
        event(Some(INODE), true, Some(evidence(40, 1, Act::Close))),
    );
    assert_eq!(
        (pid(&by_kernel), by_kernel.from),
        (Some(40), Some(OwnerFrom::Last))
    );
    let by_scan = owner(&mut enricher, event(Some(INODE), true, None));
    assert_eq!(
        (pid(&by_scan), by_scan.from),
        (Some(30), Some(OwnerFrom::Last))
    );
    assert!(by_scan.holders.is_empty());
    let unknown = owner(&mut enricher, event(None, true, None));
    assert_eq!((pid(&unknown), unknown.from), (None, None));
}

#[test]
fn a_process_that_is_gone_is_still_named_by_what_it_did() {
    let mut enricher = enricher(&[], &Filters::default());
    let owner = owner(
        &mut enricher,
        event(Some(INODE), false, Some(evidence(NOBODY, 1, Act::Connect))),
    );
    assert_eq!(
        (pid(&owner), owner.from),
        (Some(NOBODY), Some(OwnerFrom::Connect))
    );
    assert_eq!(owner.process.as_ref().map(|p| &*p.comm), Some("kernel"));
    assert_eq!(owner.holders[0].fd, None);
}

#[test]
fn nothing_known_is_nobody() {
    let mut enricher = enricher(&[], &Filters::default());
    // Not accepted yet: it has no inode, and no pass would find it.
    let embryo = owner(&mut enricher, event(None, false, None));
    assert_eq!(*embryo, Owner::default());
    assert_eq!(
        *owner(&mut enricher, event(Some(INODE), false, None)),
        Owner::default()
    );
}

#[test]
fn an_unknown_socket_waits_for_the_next_pass_and_no_longer() {
    let mut enricher = enricher(&[], &Filters::default());
    match enricher.enrich(event(Some(INODE), false, None)) {
        Outcome::Wait(_, until) => {
            assert!(until <= Instant::now() + PASS_GAP);
        }
        other => panic!("{other:?}"),
    }
    // Once its time has come the pass runs; a socket it does not show is not looked for again.
    enricher.passed = Instant::now().checked_sub(PASS_GAP);
    for _ in 0..2 {
        match enricher.enrich(event(Some(u64::MAX), false, None)) {
            Outcome::Event(event) => assert_eq!(*event.owner, Owner::default()),
            other => panic!("{other:?}"),
        }
    }
    assert!(enricher.absent.contains(&u64::MAX));
}

#[test]
fn filters_look_at_every_holder() {
    let found = [
        (known(10, 100, "parent"), &[(INODE, 3)][..]),
        (known(20, 200, "child"), &[(INODE, 3)][..]),
    ];
    let wanted = |pids: Vec<u32>| {
        let filters = Filters {
            pids,
            ..Filters::default()
        };
        let outcome = enricher(&found, &filters).enrich_now(event(Some(INODE), false, None));
        matches!(outcome, Outcome::Event(_))
    };
    assert!(wanted(vec![20]) && wanted(vec![10]) && !wanted(vec![30]));
}
