mod fixture;
mod property;

use super::*;
use crate::{
    enrich::messages::{Request, Stage},
    event::{Kind, Time, example::process},
};
use fixture::{Test, event, evidence, found, received};

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
        stage: Stage::Done,
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
            stage: Stage::Done,
        }]);
    }
    assert_eq!(test.out, [(1, Some(10))]);
    assert!(test.asked().is_empty());
}

#[test]
fn where_a_pass_is_far_off_what_was_found_so_far_serves_until_then() {
    let mut test = Test::new();
    test.event(event(10, 0, 1));
    let asked = test.asked();
    let answer = |pid, stage| Answer::Owner {
        inode: 10,
        entry: found(&asked[0], Some(pid)),
        stage,
    };
    test.answer(vec![answer(1, Stage::PassIsFarOff)]);
    assert_eq!(test.out, [(1, Some(1))]);
    test.answer(vec![answer(2, Stage::Done)]);
    test.event(event(10, 1, 2));
    assert_eq!(test.out, [(1, Some(1)), (2, Some(2))]);
}

#[test]
fn where_a_pass_comes_soon_what_was_found_so_far_serves_only_what_cannot_wait() {
    let mut test = Test::new();
    test.event(event(10, 0, 1));
    let asked = test.asked();
    let answer = |pid, stage| Answer::Owner {
        inode: 10,
        entry: found(&asked[0], Some(pid)),
        stage,
    };
    test.answer(vec![answer(1, Stage::PassComes)]);
    assert_eq!(test.out, []);
    test.later(WAIT / 2);
    test.event(event(10, 0, 2));
    test.later(WAIT / 2);
    assert_eq!(test.out, [(1, Some(1))]);
    test.answer(vec![answer(2, Stage::Done)]);
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
fn an_entry_that_ages_serves_until_the_pass_that_its_look_up_needs() {
    let mut test = Test::new();
    test.event(event(10, 0, 1));
    test.answer_all();
    test.event(event(10, 9, 2));
    let asked = test.asked();
    let answer = |pid, stage| Answer::Owner {
        inode: 10,
        entry: found(&asked[0], Some(pid)),
        stage,
    };
    test.answer(vec![answer(1, Stage::PassComes)]);
    test.event(event(10, 9, 3));
    assert_eq!(test.out, [(1, Some(10)), (2, Some(10)), (3, Some(10))]);
    test.answer(vec![answer(2, Stage::Done)]);
    test.event(event(10, 9, 4));
    assert_eq!(test.out[3..], [(4, Some(2))]);
    // Once something speaks against it, what was found so far is better.
    test.event(event(10, 18, 5));
    let asked = test.asked();
    test.resolver.change(Notice::Renamed { pid: 2 });
    test.event(event(10, 18, 6));
    test.answer(vec![Answer::Owner {
        inode: 10,
        entry: found(&asked[0], Some(3)),
        stage: Stage::PassComes,
    }]);
    test.later(WAIT);
    assert_eq!(test.out[4..], [(5, Some(2)), (6, Some(3))]);
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
        stage: Stage::Done,
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
fn a_call_waits_until_it_is_known_where_the_functions_are() {
    let mut test = Test::new();
    test.item(Item::Received(received(1, [5, 16])));
    test.item(Item::Received(received(2, [5, 16])));
    // Nothing need be asked.
    assert!(test.resolver.messages().is_empty());
    assert!(test.calls.is_empty());
    test.answer(vec![Answer::Calls(vec![(
        10..20,
        crate::event::Call::Recv,
    )])]);
    test.item(Item::Received(received(3, [5, 16])));
    assert_eq!(test.calls.len(), 3);
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
        assert_eq!(test.resolver.is_crowded(), usize::from(mark) > CROWD);
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

#[test]
fn before_the_first_pass_nothing_goes_out_however_much_comes() {
    let mut test = Test::held();
    let most = WAITING as u16;
    let batch = 100;
    // What a batch brings is taken in whole, although the line is full in the middle of it.
    for mark in 0..most + batch {
        test.event(event(1, 0, mark));
    }
    assert!(test.resolver.is_full());
    assert_eq!(test.marks(), [0; 0]);
    test.begin();
    assert_eq!(test.marks(), (0..batch).collect::<Vec<_>>());
    test.answer_all();
    assert_eq!(test.marks(), (0..most + batch).collect::<Vec<_>>());
}

#[test]
fn questions_without_room_are_remembered_only_while_their_items_wait() {
    let mut test = Test::new();
    for round in 0..4 {
        for number in 0..knowledge::QUESTIONS as u64 {
            let inode = 1 + round * knowledge::QUESTIONS as u64 + number;
            test.event(event(inode, 0, 0));
        }
        // The worker never answers.
        test.later(WAIT);
        assert!(!test.resolver.is_waiting());
    }
    assert!(test.resolver.unasked.len() <= knowledge::QUESTIONS);
}

#[test]
fn what_a_filter_leaves_out_without_knowing_the_owner_is_counted() {
    let mut test = Test::held();
    test.resolver = Resolver::new(&Filters {
        pids: vec![10],
        ..Filters::default()
    });
    test.begin();
    // Looked up in time: 10 is wanted and 11 is not.
    test.event(event(10, 1, 1));
    test.event(event(11, 1, 2));
    assert_eq!(test.answer_all(), 2);
    assert_eq!(test.marks(), [1]);
    assert_eq!(test.resolver.undecided(), 0);
    // Not looked up in time: whether it is wanted is not known.
    test.event(event(12, 1, 3));
    test.later(WAIT);
    assert_eq!(test.marks(), [1]);
    assert_eq!(test.resolver.undecided(), 1);
    // What the kernel half saw is enough to let it through.
    let mut wanted = event(13, 1, 4);
    wanted.evidence = evidence(10);
    test.event(wanted);
    test.later(WAIT);
    assert_eq!(test.marks(), [1, 4]);
    assert_eq!(test.resolver.undecided(), 1);
}
