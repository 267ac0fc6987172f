//! The text of every format, and what holds for all of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

mod common;

use common::{golden, one_of_each, run, varied};
use katrace::{
    event::{Cause, Kind},
    settings::Format,
    sinks::{Buffers, Screen, Sink},
};
use unicode_width::UnicodeWidthStr;

#[test]
fn table_and_its_banner_and_summary() {
    let (out, err) = run(Format::Table, Screen::plain(), &varied());
    golden("table.txt", &out);
    golden("table.stderr.txt", &err);
}

#[test]
fn table_on_a_wide_terminal_is_coloured_and_repeats_its_header() {
    let screen = Screen {
        colour: true,
        columns: 160,
        rows: Some(8),
        ..Screen::plain()
    };
    let (out, _) = run(Format::Table, screen, &varied());
    golden("table.terminal.txt", &out);
}

#[test]
fn json_compact_and_pretty() {
    let (out, err) = run(Format::Json, Screen::plain(), &varied());
    golden("json.jsonl", &out);
    assert_eq!(err, "");
    let (pretty, _) = run(Format::JsonPretty, Screen::plain(), &varied());
    let again: Vec<serde_json::Value> = read_json(&pretty);
    assert_eq!(again, read_json(&out));
    assert_eq!(again.len(), varied().len() + 3);
}

fn read_json(text: &str) -> Vec<serde_json::Value> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn csv_reads_back_with_every_row_as_wide_as_the_header() {
    let (out, err) = run(Format::Csv, Screen::plain(), &varied());
    golden("csv.csv", &out);
    assert!(
        err.contains("katrace 0.1.0") && err.contains("owner unknown: 1"),
        "{err}"
    );

    let mut reader = csv::Reader::from_reader(out.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(String::from).collect();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), varied().len() + 1);
    let (json, _) = run(Format::Json, Screen::plain(), &varied());
    let records = read_json(&json);
    for (row, record) in rows.iter().zip(&records[1..]) {
        for (column, cell) in columns.iter().zip(row) {
            // Names are escaped in another way, and owners are flattened.
            if ["comm", "owners"].contains(&column.as_str()) {
                continue;
            }
            let value = match &record[column] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell, value, "{column}");
        }
    }
    let hostile = rows
        .iter()
        .find(|row| row.iter().any(|cell| cell.contains("4194304/")));
    assert_eq!(
        hostile.and_then(|row| row.get(12)),
        Some("4194304/\\x1b[31mx\\u{202e}/5;7/a\\x3b1/b,\"c\"\\x0a/")
    );
}

#[test]
fn nothing_raw_reaches_a_terminal_in_any_format() {
    for format in [Format::Table, Format::Json, Format::JsonPretty, Format::Csv] {
        let (out, err) = run(format, Screen::plain(), &varied());
        for text in [out, err] {
            let raw = text
                .chars()
                .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(raw, None, "{format:?}: {text}");
        }
    }
}

#[test]
fn ipv4_lines_stay_under_100_columns_at_their_worst() {
    let mut events = varied();
    events.retain(|event| event.socket.raddr.is_ipv4());
    let causes = Cause::ALL.map(|cause| common::timeout(cause, common::EHOSTUNREACH, 255, 255));
    let worst = causes.into_iter().chain([
        Kind::Probe {
            probe: 127,
            sent: false,
        },
        Kind::Answered {
            unanswered: 255,
            rtt_ms: Some(99_999.999),
        },
        Kind::Stalled {
            unacked_bytes: 99_999_999,
            retransmits: 255,
        },
    ]);
    for kind in worst {
        let mut event = common::event(0, kind);
        event.socket.lport = 65535;
        event.socket.raddr = "255.255.255.255".parse().unwrap();
        event.socket.rport = 65535;
        event.socket.settings.keepcnt = 127;
        // The longest text of a length of time: `47 h 59 min`.
        event.socket.silence_ms = Some(172_740_000);
        event.owner = common::owner(4_194_304, "fifteen-letters");
        events.push(event);
    }
    let (out, _) = run(Format::Table, Screen::plain(), &events);
    for line in out.lines() {
        assert!(line.width() < 100, "{} columns: {line}", line.width());
    }
}

#[test]
fn columns_align_below_the_widest_peer() {
    let mut events = vec![common::ipv6(one_of_each().remove(3))];
    events.extend(one_of_each());
    let (out, _) = run(Format::Table, Screen::plain(), &events);
    let starts: Vec<usize> = out
        .lines()
        .filter(|line| line.contains(":5432 "))
        .map(|line| {
            let (left, right) = line.split_once(":5432 ").unwrap();
            line.width() - right.trim_start().width() - usize::from(left.is_empty())
        })
        .collect();
    assert_eq!(starts.len(), events.len());
    assert!(starts.windows(2).all(|pair| pair[0] == pair[1]), "{out}");
}

#[test]
fn a_sink_that_never_got_ready_still_heads_its_columns() {
    for (format, head) in [(Format::Table, "UTC"), (Format::Csv, "time,event")] {
        let mut to = Buffers::default();
        let mut sink = Sink::new(format, Screen::plain());
        sink.lost(&common::lost(), &mut to).unwrap();
        let out = String::from_utf8(to.out).unwrap();
        assert!(out.starts_with(head), "{out}");
        assert_eq!(out.lines().count(), 2);
    }
}

#[test]
fn times_are_local_and_the_header_says_by_how_much() {
    let half_past = jiff::tz::Offset::from_seconds(5 * 3600 + 1800).unwrap();
    for (offset, head, clock) in [
        (half_past, "UTC+5:30 EVENT", "\n03:43:40 lost"),
        (-jiff::tz::offset(8), "UTC-8    EVENT", "\n14:13:40 lost"),
    ] {
        let screen = Screen {
            zone: jiff::tz::TimeZone::fixed(offset),
            ..Screen::plain()
        };
        let (out, _) = run(Format::Table, screen, &[]);
        assert!(out.starts_with(head) && out.contains(clock), "{out}");
    }
}
