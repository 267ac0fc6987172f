//! docs/events.md shows what the serializer writes, and explains every field of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

mod common;

use std::{env, fs, path::Path};

use katrace::{
    settings::Format,
    sinks::{Buffers, Screen, Sink},
};

const OPEN: &str = "```json\n";
const CLOSE: &str = "```\n";

/// A record of every kind in the order of the document, as `-o jsonpretty` prints it.
fn printed() -> Vec<String> {
    let mut sink = Sink::new(Format::JsonPretty, Screen::plain());
    let mut records = Vec::new();
    let mut take = |to: Buffers| records.push(String::from_utf8(to.out).unwrap());
    let events = common::one_of_each();
    for event in &events {
        let mut to = Buffers::default();
        sink.event(event, &mut to).unwrap();
        take(to);
    }
    let mut to = Buffers::default();
    sink.ready(&common::ready(), &mut to).unwrap();
    take(to);
    let mut to = Buffers::default();
    sink.lost(&common::lost(), &mut to).unwrap();
    take(to);
    let mut to = Buffers::default();
    sink.summary(&common::summary(&events), &mut to).unwrap();
    take(to);
    records
}

/// The document with its examples replaced, in order.
fn with_examples(document: &str, examples: &[String]) -> String {
    let mut pieces = document.split(OPEN);
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut examples = examples.iter();
    for piece in pieces {
        let (_, after) = piece.split_once(CLOSE).expect("an example is not closed");
        let example = examples.next().expect("more examples than records");
        text += &[OPEN, example, CLOSE, after].concat();
    }
    assert_eq!(examples.next(), None, "a record without an example");
    text
}

fn keys(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                found.push(key.clone());
                keys(value, found);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => (),
    }
}

#[test]
fn the_examples_are_what_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let document = fs::read_to_string(&path).unwrap();
    let expected = with_examples(&document, &printed());
    if env::var_os("KATRACE_BLESS").is_some() {
        fs::write(&path, expected).unwrap();
        return;
    }
    assert!(
        document == expected,
        "docs/events.md shows other records than are printed; run this test with KATRACE_BLESS=1"
    );
}

#[test]
fn every_field_is_explained() {
    let document =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md"))
            .unwrap();
    for record in printed() {
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let kind = record["event"].as_str().unwrap();
        assert!(document.contains(&format!("\n### {kind}\n")), "{kind}");
        let mut found = Vec::new();
        keys(&record, &mut found);
        for key in found {
            assert!(document.contains(&format!("`{key}`")), "{kind}: {key}");
        }
    }
}
