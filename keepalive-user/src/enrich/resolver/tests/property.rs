//! Any order of events, answers, changes and times.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

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
        stage: Stage,
    },
    Pass(u64),
    Flush,
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        2 => Just(Stage::Done),
        1 => Just(Stage::PassComes),
        1 => Just(Stage::PassIsFarOff),
    ]
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
        6 => (any::<usize>(), stage())
            .prop_map(|(which, stage)| Step::Answer { which, stage }),
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
                Step::Answer { which, stage } if !open.is_empty() => {
                    let which = which % open.len();
                    let answer = match open.remove(which) {
                        Message::Owner(request) => {
                            told.insert(at as u32);
                            let answer = Answer::Owner {
                                inode: request.inode,
                                entry: found(&request, Some(at as u32)),
                                stage,
                            };
                            if stage != Stage::Done {
                                open.push(Message::Owner(request));
                            }
                            answer
                        }
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
