//! Every kind in the table is known everywhere: in the ring, in JSON, in CSV and in the document.
//!
//! The compiler finds a kind that a `match` has forgotten. These tests find the rest.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

mod common;

use std::{collections::HashSet, mem::offset_of};

use katrace::{
    decode::{self, Clock, Item},
    event::{EventKind, Kind},
};
use keepalive_ebpf::wire::{self, NOTICED_SIZE, Noticed, RECORD_SIZE, Record};

/// The bytes of a record of this kind, with one probe unanswered and all else zero.
fn record(kind: EventKind) -> Vec<u8> {
    let mut bytes = vec![0; RECORD_SIZE];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(offset_of!(Record, kind), &kind.facts().wire.to_ne_bytes());
    put(
        offset_of!(Record, size),
        &(RECORD_SIZE as u16).to_ne_bytes(),
    );
    put(offset_of!(Record, family), &[wire::AF_INET]);
    put(offset_of!(Record, state), &[1]);
    put(offset_of!(Record, unanswered), &1_u32.to_ne_bytes());
    bytes
}

/// The same for an error received, which has a record of its own.
fn noticed() -> Vec<u8> {
    let mut bytes = vec![0; NOTICED_SIZE];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(
        offset_of!(Noticed, kind),
        &wire::kind::NOTICED.to_ne_bytes(),
    );
    put(
        offset_of!(Noticed, size),
        &(NOTICED_SIZE as u16).to_ne_bytes(),
    );
    bytes
}

fn decoded(kind: EventKind) -> Kind {
    let bytes = match kind {
        EventKind::Noticed => noticed(),
        _ => record(kind),
    };
    match decode::item(&bytes, &Clock::with_offset(0), 250) {
        Ok(Item::Event(event)) => event.kind,
        Ok(Item::Received(received)) => received.kind,
        other => panic!("{kind:?}: {other:?}"),
    }
}

#[test]
fn every_kind_comes_out_of_the_ring_as_itself() {
    for kind in EventKind::ALL {
        assert_eq!(decoded(*kind).event_kind(), *kind);
    }
}

#[test]
fn the_table_and_the_kinds_agree_on_what_is_a_death() {
    for kind in EventKind::ALL {
        assert_eq!(decoded(*kind).death().is_some(), kind.facts().is_death);
    }
}

#[test]
fn every_field_of_a_kind_has_a_column_in_csv() {
    for kind in EventKind::ALL {
        let fields = decoded(*kind).each_field(|name, _| {
            if Kind::COLUMNS.contains(&name) {
                Ok(())
            } else {
                Err(format!("{kind:?}: {name} is missing in Kind::COLUMNS"))
            }
        });
        assert_eq!(fields, Ok(()));
    }
}

#[test]
fn no_two_kinds_share_a_word_a_number_or_a_place() {
    let mut seen = HashSet::new();
    for (at, kind) in EventKind::ALL.iter().enumerate() {
        let facts = kind.facts();
        assert_eq!(*kind as usize, at);
        assert!((1..32).contains(&facts.wire), "{kind:?} has no bit");
        let mut new = |what: String| assert!(seen.insert(what.clone()), "{kind:?}: {what}");
        new(format!("word {}", facts.word));
        new(format!("wire {}", facts.wire));
        new(format!("count {}", facts.count_word));
        if let Some(position) = facts.summary_position {
            new(format!("position {position}"));
        }
    }
}

#[test]
fn the_document_shows_one_event_of_each_kind() {
    let shown = common::one_of_each();
    let shown: Vec<EventKind> = shown.iter().map(|event| event.kind.event_kind()).collect();
    assert_eq!(shown, EventKind::ALL);
}
