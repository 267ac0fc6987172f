use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use proptest::prelude::*;

use super::*;
use crate::{
    decode::{Act, Evidence},
    enrich::{
        identity::Identity,
        messages::Request,
        owner_cache::{Entry, actor},
        owner_rank::Before,
    },
    event::{Errno, Family, Holder, Kind, OwnerFrom, Process, Settings, Socket, State, Time},
};

/// An event of this socket, at this moment in seconds. Its local port tells events apart.
fn event(inode: u64, at: u64, mark: u16) -> Decoded {
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Decoded {
        time: Time(i128::from(at) * 1_000_000_000),
        monotonic_ns: at * 1_000_000_000,
        socket: Socket {
            family: Family::Ipv4,
            laddr: nowhere,
            lport: mark,
            raddr: nowhere,
            rport: 2,
            state: State::Established,
            netns: 1,
            inode: Some(inode),
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
        orphan: false,
        evidence: None,
        refs: 1,
        user: None,
    }
}

fn evidence(pid: u32) -> Option<Evidence> {
    let mut comm = [0; 16];
    comm[..6].copy_from_slice(b"kernel");
    Some(Evidence {
        pid,
        start_ns: 0,
        since_ns: 0,
        comm,
        act: Act::Connect,
    })
}

fn received(inode: u64, stack: [u64; 2]) -> Received {
    let mut addresses = [0; keepalive_ebpf::wire::STACK_DEPTH];
    addresses[..2].copy_from_slice(&stack);
    Received {
        time: Time(0),
        inode,
        kind: Kind::Noticed {
            errno: Errno(110),
            call: None,
            process: process(9),
            tid: 9,
            delay_ms: 0.0,
        },
        stack: addresses,
    }
}

fn process(pid: u32) -> Process {
    Process {
        pid,
        comm: "p".into(),
        details: None,
    }
}

/// The worker's answer to a question: this process holds it.
fn found(request: &Request, pid: Option<u32>) -> Entry {
    Entry {
        owner: pid.map(|pid| {
            Arc::new(Owner {
                process: Some(process(pid)),
                holders: vec![Holder {
                    process: process(pid),
                    fd: Some(3),
                }],
                from: Some(OwnerFrom::Scan),
            })
        }),
        before: Before {
            holders: pid
                .map(|pid| {
                    (
                        Identity {
                            pid,
                            start_ticks: 1,
                        },
                        None,
                    )
                })
                .into_iter()
                .collect(),
            at_ns: 0,
        },
        refs: 1..=request.refs,
        actor: actor(request.evidence.as_ref()),
        user: request.user,
        stamp: request.stamp,
        looked: request.time,
    }
}

/// A resolver with what came out of it and what it asked.
struct Test {
    resolver: Resolver,
    now: Instant,
    /// The marks of the events that came out, with their owners' pids.
    out: Vec<(u16, Option<u32>)>,
    calls: Vec<Received>,
}

impl Test {
    fn new() -> Self {
        let mut test = Self::held();
        test.begin();
        test
    }

    /// Before the first pass.
    fn held() -> Self {
        Self {
            resolver: Resolver::new(&Filters::default()),
            now: Instant::now(),
            out: Vec::new(),
            calls: Vec::new(),
        }
    }

    fn with(&mut self, work: impl FnOnce(&mut Resolver, Instant, &mut dyn FnMut(Resolved))) {
        let Self {
            resolver,
            now,
            out,
            calls,
        } = self;
        work(resolver, *now, &mut |resolved| match resolved {
            Resolved::Event(event) => out.push((
                event.socket.lport,
                event.owner.process.as_ref().map(|process| process.pid),
            )),
            Resolved::Received(received) => calls.push(received),
            Resolved::Ended(_) => {}
        });
    }

    fn begin(&mut self) {
        self.with(|resolver, now, mut out| resolver.begin(now, &mut out));
    }

    fn item(&mut self, item: Item) {
        self.with(|resolver, now, mut out| resolver.take(item, now, &mut out));
    }

    fn event(&mut self, decoded: Decoded) {
        self.item(Item::Event(decoded));
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.with(|resolver, now, mut out| resolver.release(now, &mut out));
    }

    fn answer(&mut self, answers: Vec<Answer>) {
        self.with(|resolver, now, mut out| resolver.answer(answers, now, &mut out));
    }

    /// The questions about owners that were asked since the last call.
    fn asked(&mut self) -> Vec<Request> {
        let messages = std::mem::take(self.resolver.messages()).into_iter();
        let owners = messages.filter_map(|message| match message {
            Message::Owner(request) => Some(*request),
            Message::Changed(_) | Message::Last(_) | Message::Names(_) => None,
        });
        owners.collect()
    }

    /// Answers all of them: the pid is the inode.
    fn answer_all(&mut self) -> usize {
        let asked = self.asked();
        let answers = asked.iter().map(|request| Answer::Owner {
            inode: request.inode,
            entry: found(request, Some(request.inode as u32)),
            is_early: false,
        });
        self.answer(answers.collect());
        asked.len()
    }

    fn marks(&self) -> Vec<u16> {
        self.out.iter().map(|(mark, _)| *mark).collect()
    }
}

#[test]
fn the_order_of_events_is_kept_whatever_is_answered_first() {
    let mut test = Test::new();
    for (inode, mark) in [(10, 1), (20, 2), (10, 3), (30, 4)] {
        test.event(event(inode, 0, mark));
    }
    // One question a socket, all asked at once.
    let asked = test.asked();
    let inodes: Vec<u64> = asked.iter().map(|request| request.inode).collect();
    assert_eq!(inodes, [10, 20, 30]);
    let answer = |request: &Request| Answer::Owner {
        inode: request.inode,
        entry: found(request, Some(request.inode as u32)),
        is_early: false,
    };
    test.answer(vec![answer(&asked[2])]);
    test.answer(vec![answer(&asked[1])]);
    assert_eq!(test.out, []);
    test.answer(vec![answer(&asked[0])]);
    assert_eq!(
        test.out,
        [(1, Some(10)), (2, Some(20)), (3, Some(10)), (4, Some(30))]
    );
    // What is known goes on at once.
    test.event(event(20, 1, 5));
    assert_eq!(test.out.last(), Some(&(5, Some(20))));
    assert!(test.asked().is_empty());
}

#[test]
fn before_the_first_pass_everything_waits_and_then_has_its_full_time() {
    let mut test = Test::held();
    test.event(event(10, 0, 1));
    test.later(10 * WAIT);
    assert_eq!(test.resolver.deadline(), None);
    assert_eq!(test.out, []);
    test.begin();
    assert_eq!(test.out, []);
    assert_eq!(test.resolver.deadline(), Some(test.now + WAIT));
    test.answer_all();
    assert_eq!(test.out, [(1, Some(10))]);
}

#[test]
fn an_event_that_has_waited_long_enough_goes_on_with_what_is_known() {
    let mut test = Test::new();
    test.event(event(10, 0, 1));
    test.answer_all();
    // An old entry, the kernel's evidence, and nothing.
    test.event(event(10, 60, 2));
    test.event(Decoded {
        evidence: evidence(77),
        ..event(20, 60, 3)
    });
    test.later(WAIT / 2);
    test.event(event(30, 60, 4));
    assert_eq!(test.marks(), [1]);
    test.later(WAIT / 2);
    assert_eq!(test.out[1..], [(2, Some(10)), (3, Some(77))]);
    test.later(WAIT / 2);
    assert_eq!(test.out[3..], [(4, None)]);
    // The answers come late and serve the next events.
    assert_eq!(test.answer_all(), 3);
    test.event(event(30, 61, 5));
    assert_eq!(test.out.last(), Some(&(5, Some(30))));
}

#[test]
fn a_change_after_the_question_asks_once_more_and_not_for_ever() {
    let mut test = Test::new();
    test.event(event(10, 0, 1));
    for _ in 0..2 {
        let asked = test.asked();
        assert_eq!(asked.len(), 1);
        test.resolver.change(Notice::Exited { pid: 10 });
        test.answer(vec![Answer::Owner {
            inode: 10,
            entry: found(&asked[0], Some(10)),
            is_early: false,
        }]);
    }
    assert_eq!(test.out, [(1, Some(10))]);
    assert!(test.asked().is_empty());
}

#[test]
fn an_early_answer_serves_until_the_full_one() {
    let mut test = Test::new();
    test.event(event(10, 0, 1));
    let asked = test.asked();
    let answer = |pid, is_early| Answer::Owner {
        inode: 10,
        entry: found(&asked[0], Some(pid)),
        is_early,
    };
    test.answer(vec![answer(1, true)]);
    assert_eq!(test.out, [(1, Some(1))]);
    test.answer(vec![answer(2, false)]);
    test.event(event(10, 1, 2));
    assert_eq!(test.out, [(1, Some(1)), (2, Some(2))]);
}

#[test]
fn an_entry_that_ages_is_looked_up_without_waiting() {
    let mut test = Test::new();
    test.event(event(10, 0, 1));
    test.answer_all();
    test.event(event(10, 7, 2));
    assert!(test.asked().is_empty());
    test.event(event(10, 9, 3));
    test.event(event(10, 9, 4));
    assert_eq!(test.marks(), [1, 2, 3, 4]);
    assert_eq!(test.answer_all(), 1);
    test.event(event(10, 16, 5));
    assert_eq!(test.marks(), [1, 2, 3, 4, 5]);
    assert!(test.asked().is_empty());
}

#[test]
fn a_loss_of_changes_makes_everything_unknown() {
    let mut test = Test::new();
    test.event(event(10, 0, 1));
    test.event(event(20, 0, 2));
    let asked = test.asked();
    test.resolver.forget();
    let answers = asked.iter().map(|request| Answer::Owner {
        inode: request.inode,
        entry: found(request, None),
        is_early: false,
    });
    test.answer(answers.collect());
    // What was asked before the loss does not count. The first in line asks again at once.
    assert_eq!(test.out, []);
    assert_eq!(test.answer_all(), 1);
    assert_eq!(test.answer_all(), 1);
    assert_eq!(test.out, [(1, Some(10)), (2, Some(20))]);
}

#[test]
fn an_answer_about_a_socket_that_is_gone_is_not_kept_for_its_inode() {
    let mut test = Test::new();
    test.event(event(10, 0, 1));
    test.answer_all();
    test.event(event(10, 9, 2));
    test.item(Item::Ended(10));
    assert_eq!(test.answer_all(), 1);
    test.event(event(10, 9, 3));
    assert_eq!(test.marks(), [1, 2]);
    assert_eq!(test.answer_all(), 1);
    assert_eq!(test.marks(), [1, 2, 3]);
}

#[test]
fn a_call_waits_for_its_functions_and_is_asked_once() {
    let mut test = Test::new();
    test.item(Item::Received(received(1, [5, 6])));
    test.item(Item::Received(received(2, [5, 6])));
    let messages = std::mem::take(test.resolver.messages());
    assert_eq!(messages.len(), 1);
    assert!(matches!(&messages[0], Message::Names(addresses) if *addresses == [5, 6]));
    let named = vec![
        (5, Some("release_sock".into())),
        (6, Some("tcp_recvmsg".into())),
    ];
    test.answer(vec![Answer::Names(named)]);
    assert_eq!(test.calls.len(), 2);
    for received in &test.calls {
        assert!(matches!(
            received.kind,
            Kind::Noticed {
                call: Some(crate::event::Call::Recv),
                ..
            }
        ));
    }
}

#[test]
fn a_call_without_an_answer_is_not_named() {
    let mut test = Test::new();
    test.item(Item::Received(received(1, [5, 6])));
    test.later(WAIT);
    assert_eq!(test.calls, [received(1, [5, 6])]);
}

#[test]
fn an_orphan_asks_for_its_last_holder_once() {
    let mut test = Test::new();
    let orphan = |mark| Decoded {
        orphan: true,
        refs: 0,
        ..event(10, 0, mark)
    };
    test.event(orphan(1));
    test.event(orphan(2));
    let messages = std::mem::take(test.resolver.messages());
    assert!(matches!(messages[..], [Message::Last(10)]));
    test.answer(vec![Answer::Last {
        inode: 10,
        process: Some(process(5)),
    }]);
    test.event(orphan(3));
    assert_eq!(test.out, [(1, Some(5)), (2, Some(5)), (3, Some(5))]);
    assert!(test.resolver.messages().is_empty());
}

#[test]
fn past_the_bound_the_first_in_line_goes_on() {
    let mut test = Test::new();
    let most = WAITING as u16;
    for mark in 0..most {
        test.event(event(u64::from(mark), 0, mark));
    }
    assert_eq!(test.out, []);
    test.event(event(1_000_000, 0, most));
    assert_eq!(test.out, [(0, None)]);
    // More sockets wait than may be asked for at once: answers make room for the next.
    let mut answered = 0;
    while test.resolver.is_waiting() {
        let now = test.answer_all();
        assert!((1..=knowledge::QUESTIONS).contains(&now), "{now}");
        answered += now;
    }
    assert!(answered >= usize::from(most), "{answered}");
    assert_eq!(test.marks(), (0..=most).collect::<Vec<_>>());
    assert!(test.out[1..].iter().all(|(_, pid)| pid.is_some()));
}

/// What may happen, in any order.
#[derive(Clone, Debug)]
enum Step {
    Event {
        inode: u64,
        refs: u32,
        user: Option<u32>,
    },
    Received,
    Ended(u64),
    Change(u32),
    Lost,
    Answer {
        which: usize,
        is_early: bool,
    },
    Pass(u64),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let event = (0..6u64, 0..3u32, proptest::option::of(0..2u32))
        .prop_map(|(inode, refs, user)| Step::Event { inode, refs, user });
    prop_oneof![
        8 => event,
        1 => Just(Step::Received),
        1 => (0..6u64).prop_map(Step::Ended),
        2 => (0..6u32).prop_map(Step::Change),
        1 => Just(Step::Lost),
        6 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, is_early)| Step::Answer { which, is_early }),
        3 => (0..700u64).prop_map(Step::Pass),
        1 => Just(Step::Flush),
    ]
}

/// The mark of everything that goes through, in the order in which it came out.
fn mark(resolved: &Resolved) -> u128 {
    match resolved {
        Resolved::Event(event) => event.time.0.cast_unsigned(),
        Resolved::Received(received) => received.time.0.cast_unsigned(),
        Resolved::Ended(_) => u128::MAX,
    }
}

proptest! {
    /// Whatever comes in whatever order: everything comes out once, in the order in which it came in, within its
    /// time, and with an owner that somebody told.
    #[test]
    fn order_is_kept_and_nothing_is_lost(steps in proptest::collection::vec(step(), 0..200)) {
        let mut resolver = Resolver::new(&Filters::default());
        let mut now = Instant::now();
        let mut open: Vec<Message> = Vec::new();
        let (mut came, mut went) = (Vec::new(), Vec::new());
        let mut told = BTreeSet::new();
        resolver.begin(now, &mut |_| ());
        for (at, step) in steps.into_iter().enumerate() {
            let time = at as u128;
            let mut out = |resolved: Resolved| went.push((mark(&resolved), resolved));
            match step {
                Step::Event { inode, refs, user } => {
                    came.push(time);
                    let decoded = Decoded {
                        time: Time(time.cast_signed()),
                        refs,
                        user,
                        ..event(inode, 0, 0)
                    };
                    resolver.take(Item::Event(decoded), now, &mut out);
                }
                Step::Received => {
                    came.push(time);
                    let received = Received {
                        time: Time(time.cast_signed()),
                        ..received(1, [at as u64, 1])
                    };
                    resolver.take(Item::Received(received), now, &mut out);
                }
                Step::Ended(inode) => {
                    came.push(u128::MAX);
                    resolver.take(Item::Ended(inode), now, &mut out);
                }
                Step::Change(pid) => resolver.change(Notice::Renamed { pid }),
                Step::Lost => resolver.forget(),
                Step::Answer { which, is_early } if !open.is_empty() => {
                    let which = which % open.len();
                    let answer = match open.remove(which) {
                        Message::Owner(request) => {
                            told.insert(at as u32);
                            let answer = Answer::Owner {
                                inode: request.inode,
                                entry: found(&request, Some(at as u32)),
                                is_early,
                            };
                            if is_early {
                                open.push(Message::Owner(request));
                            }
                            answer
                        }
                        Message::Names(addresses) => Answer::Names(
                            addresses.into_iter().map(|address| (address, None)).collect(),
                        ),
                        other => panic!("{other:?}"),
                    };
                    resolver.answer(vec![answer], now, &mut out);
                }
                Step::Answer { .. } => {}
                Step::Pass(ms) => {
                    now += Duration::from_millis(ms);
                    resolver.release(now, &mut out);
                    // What is released by the clock was not overdue before that.
                    prop_assert!(resolver.deadline().is_none_or(|deadline| deadline > now));
                }
                Step::Flush => {
                    resolver.flush(&mut out);
                    prop_assert!(!resolver.is_waiting());
                }
            }
            open.extend(
                std::mem::take(resolver.messages())
                    .into_iter()
                    .filter(|message| !matches!(message, Message::Changed(_))),
            );
        }
        resolver.flush(&mut |resolved| went.push((mark(&resolved), resolved)));
        let marks: Vec<u128> = went.iter().map(|(mark, _)| *mark).collect();
        prop_assert_eq!(marks, came);
        for (_, resolved) in &went {
            if let Resolved::Event(event) = resolved
                && let Some(process) = &event.owner.process
            {
                prop_assert!(told.contains(&process.pid));
            }
        }
    }
}
