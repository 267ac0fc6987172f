//! Both halves of the room together, on this process's own sockets. What the worker's thread does is done here
//! between two events.

use std::{
    net::TcpListener,
    os::{fd::AsRawFd, linux::fs::MetadataExt},
    sync::Arc,
    time::Instant,
};

use super::*;
use crate::{
    decode::{Act, Decoded, Evidence, Notice},
    event::{Kind, Owner, OwnerFrom, SocketEvent, Time, example},
    settings::Filters,
};

/// No process has it: above the kernel's highest pid_max.
const NOBODY: u32 = 5_000_000;
/// No socket has it.
const NO_SOCKET: u64 = u64::MAX;

/// A socket of this very process.
struct Held {
    listener: TcpListener,
    inode: u64,
}

impl Held {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let path = format!("/proc/self/fd/{}", listener.as_raw_fd());
        Self {
            inode: std::fs::metadata(path).unwrap().st_ino(),
            listener,
        }
    }

    fn fd(&self) -> u32 {
        self.listener.as_raw_fd() as u32
    }
}

fn this_process() -> u32 {
    std::process::id()
}

/// This process did it, or one with its pid that began some ticks away.
fn evidence(pid: u32, later_ticks: u64, act: Act) -> Evidence {
    let mut comm = [0; 16];
    comm[..6].copy_from_slice(b"kernel");
    let start = proc::stat(pid).map_or(1, |stat| stat.start_ticks) + later_ticks;
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    Evidence {
        pid,
        // Some nanoseconds into the tick, as the kernel has them.
        start_ns: start * tick_ns + 5,
        since_ns: 0,
        comm,
        act,
    }
}

fn event(inode: Option<u64>, refs: u32, evidence: Option<Evidence>) -> Decoded {
    Decoded {
        time: Time(0),
        // After any pass so far, and before any other.
        monotonic_ns: clocks::now_ns(rustix::time::ClockId::Monotonic),
        socket: example::socket(inode),
        kind: Kind::Probe {
            probe: 1,
            sent: true,
        },
        orphan: false,
        evidence,
        refs,
        user: None,
    }
}

fn orphan(inode: Option<u64>, evidence: Option<Evidence>) -> Decoded {
    Decoded {
        orphan: true,
        ..event(inode, 0, evidence)
    }
}

/// Both halves, after the first pass.
struct Enricher {
    resolver: Resolver,
    desk: Desk,
    passes: usize,
    out: Vec<SocketEvent>,
}

fn enricher(filters: &Filters) -> Enricher {
    let mut desk = Desk::new(None, Arc::default());
    desk.pass(&mut || ());
    let mut resolver = Resolver::new(filters);
    resolver.begin(Instant::now(), &mut |resolved| panic!("{resolved:?}"));
    Enricher {
        resolver,
        desk,
        passes: 0,
        out: Vec::new(),
    }
}

impl Enricher {
    /// Takes in an event and does what the worker has to do for it, passes too.
    fn enrich(&mut self, event: Decoded) -> Option<SocketEvent> {
        // The time that looking takes is not what these tests are about.
        let now = Instant::now();
        let Self {
            resolver,
            desk,
            passes,
            out,
        } = self;
        let mut take = |resolved| match resolved {
            Resolved::Event(event) => out.push(event),
            other => panic!("{other:?}"),
        };
        resolver.take(Item::Event(event), now, &mut take);
        loop {
            let mut answers = Vec::new();
            for message in std::mem::take(resolver.messages()) {
                desk.message(message, &mut answers);
            }
            if answers.is_empty() {
                let Some(next) = desk.next_pass() else {
                    break;
                };
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                *passes += 1;
                desk.after_pass(&mut answers);
            }
            resolver.answer(answers, now, &mut take);
        }
        assert!(!self.resolver.is_waiting());
        self.out.pop()
    }
}

fn owner(enricher: &mut Enricher, event: Decoded) -> Arc<Owner> {
    enricher.enrich(event).unwrap().owner
}

fn named(owner: &Owner) -> (Option<u32>, Option<OwnerFrom>) {
    (
        owner.process.as_ref().map(|process| process.pid),
        owner.from,
    )
}

#[test]
fn a_holder_is_named_with_what_it_did_and_what_proc_tells() {
    let held = Held::new();
    let mut enricher = enricher(&Filters::default());
    let connected = Some(evidence(this_process(), 0, Act::Connect));
    let owner = owner(&mut enricher, event(Some(held.inode), 1, connected));
    assert_eq!(
        named(&owner),
        (Some(this_process()), Some(OwnerFrom::Connect))
    );
    assert_eq!(owner.holders.len(), 1);
    assert_eq!(owner.holders[0].fd, Some(held.fd()));
    let details = owner.holders[0].process.details.as_ref().unwrap();
    assert_eq!(details.ppid, std::os::unix::process::parent_id());
}

#[test]
fn a_reused_pid_is_another_process() {
    let held = Held::new();
    let mut enricher = enricher(&Filters::default());
    let earlier = Some(evidence(this_process(), 7, Act::Connect));
    assert_eq!(
        named(&owner(&mut enricher, event(Some(held.inode), 1, earlier))),
        (Some(this_process()), Some(OwnerFrom::Scan))
    );
}

#[test]
fn who_gave_the_socket_away_does_not_own_it() {
    let held = Held::new();
    let mut enricher = enricher(&Filters::default());
    let gone = Some(evidence(NOBODY, 0, Act::Accept));
    assert_eq!(
        named(&owner(&mut enricher, event(Some(held.inode), 1, gone))),
        (Some(this_process()), Some(OwnerFrom::Scan))
    );
}

#[test]
fn another_count_of_references_is_looked_into_and_the_same_is_believed() {
    let held = Held::new();
    let mut enricher = enricher(&Filters::default());
    let first = owner(&mut enricher, event(Some(held.inode), 1, None));
    let again = owner(&mut enricher, event(Some(held.inode), 1, None));
    assert!(Arc::ptr_eq(&first, &again));

    let copy = held.listener.try_clone().unwrap();
    let both = owner(&mut enricher, event(Some(held.inode), 2, None));
    let mut fds: Vec<_> = both.holders.iter().filter_map(|holder| holder.fd).collect();
    fds.sort_unstable();
    let mut expected = [held.fd(), copy.as_raw_fd() as u32];
    expected.sort_unstable();
    assert_eq!(fds, expected);

    drop(copy);
    let one = owner(&mut enricher, event(Some(held.inode), 1, None));
    assert_eq!(one.holders.len(), 1);
}

#[test]
fn a_call_under_way_holds_a_reference_and_needs_no_second_look() {
    let held = Held::new();
    let mut enricher = enricher(&Filters::default());
    let first = owner(&mut enricher, event(Some(held.inode), 2, None));
    for refs in [1, 2] {
        let again = owner(&mut enricher, event(Some(held.inode), refs, None));
        assert!(Arc::ptr_eq(&first, &again));
    }
}

#[test]
fn a_change_of_a_holder_and_age_ask_for_a_second_look() {
    let held = Held::new();
    let mut enricher = enricher(&Filters::default());
    let first = owner(&mut enricher, event(Some(held.inode), 1, None));
    enricher.resolver.change(Notice::Renamed { pid: NOBODY });
    let other = owner(&mut enricher, event(Some(held.inode), 1, None));
    assert!(Arc::ptr_eq(&first, &other));
    enricher.resolver.change(Notice::Renamed {
        pid: this_process(),
    });
    let second = owner(&mut enricher, event(Some(held.inode), 1, None));
    assert!(!Arc::ptr_eq(&first, &second));
    let late = Decoded {
        time: Time(11_000_000_000),
        ..event(Some(held.inode), 1, None)
    };
    assert!(!Arc::ptr_eq(&second, &owner(&mut enricher, late)));
}

#[test]
fn an_orphan_names_who_closed_it_or_the_last_that_is_known() {
    let held = Held::new();
    let mut enricher = enricher(&Filters::default());
    let closed = orphan(Some(held.inode), Some(evidence(NOBODY, 0, Act::Close)));
    let by_kernel = owner(&mut enricher, closed);
    assert_eq!(named(&by_kernel), (Some(NOBODY), Some(OwnerFrom::Last)));
    let by_scan = owner(&mut enricher, orphan(Some(held.inode), None));
    assert_eq!(
        named(&by_scan),
        (Some(this_process()), Some(OwnerFrom::Last))
    );
    assert!(by_scan.holders.is_empty());
    let unknown = owner(&mut enricher, orphan(None, None));
    assert_eq!(named(&unknown), (None, None));
}

#[test]
fn a_process_that_is_gone_is_still_named_by_what_it_did() {
    let mut enricher = enricher(&Filters::default());
    let gone = Some(evidence(NOBODY, 0, Act::Connect));
    let owner = owner(&mut enricher, event(Some(NO_SOCKET), 1, gone));
    assert_eq!(named(&owner), (Some(NOBODY), Some(OwnerFrom::Connect)));
    assert_eq!(owner.process.as_ref().map(|p| &*p.comm), Some("kernel"));
    assert_eq!(owner.holders[0].fd, None);
}

#[test]
fn nothing_known_is_nobody() {
    let mut enricher = enricher(&Filters::default());
    // Not accepted yet; of the kernel's own; and one that no descriptor shows.
    for (inode, refs) in [(None, 0), (Some(NO_SOCKET), 0), (Some(NO_SOCKET), 1)] {
        let nobody = owner(&mut enricher, event(inode, refs, None));
        assert_eq!(*nobody, Owner::default());
    }
}

#[test]
fn an_unknown_socket_waits_for_a_pass_that_begins_after_it_and_for_no_other() {
    let mut enricher = enricher(&Filters::default());
    let unknown = event(Some(NO_SOCKET), 1, None);
    for _ in 0..2 {
        assert_eq!(*owner(&mut enricher, unknown.clone()), Owner::default());
        assert_eq!(enricher.passes, 1);
    }
}

#[test]
fn one_pass_serves_every_socket_that_waits() {
    let mut desk = Desk::new(None, Arc::default());
    desk.pass(&mut || ());
    let mut answers = Vec::new();
    for inode in [NO_SOCKET, NO_SOCKET - 1] {
        let request = messages::Request::of(inode, &event(Some(inode), 1, None), 0, None);
        desk.message(Message::Owner(Box::new(request)), &mut answers);
    }
    assert!(answers.is_empty());
    let next = desk.next_pass().unwrap();
    std::thread::sleep(next.saturating_duration_since(Instant::now()));
    desk.after_pass(&mut answers);
    assert_eq!(answers.len(), 2);
    assert!(desk.next_pass().is_none());
}

#[test]
fn filters_look_at_every_holder() {
    let held = Held::new();
    let wanted = |pids: Vec<u32>| {
        let filters = Filters {
            pids,
            ..Filters::default()
        };
        let outcome = enricher(&filters).enrich(event(Some(held.inode), 1, None));
        outcome.is_some()
    };
    assert!(wanted(vec![this_process(), 1]));
    assert!(!wanted(vec![NOBODY]));
}
