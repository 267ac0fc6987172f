//! Listings of sockets: the text of every format, and what holds for all of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

mod common;

use std::sync::Arc;

use common::{golden, owner, process};
use katrace::{
    event::{Family, Holder, OwnerFrom, State},
    settings::Format,
    sinks::{RowSink, Screen},
    snapshot::{Origin, Row, Setting},
};
use unicode_width::UnicodeWidthStr;

fn set<T>(value: T, from: Origin) -> Option<Setting<T>> {
    Some(Setting { value, from })
}

fn row() -> Row {
    Row {
        family: Family::Ipv4,
        laddr: "10.99.0.1".parse().unwrap(),
        lport: 54321,
        raddr: "10.99.0.2".parse().unwrap(),
        rport: 5432,
        state: State::Established,
        netns: 4_026_531_840,
        inode: Some(31_337),
        owner: owner(4242, "postgres"),
        keepalive: Some(true),
        keepidle_ms: set(60_000, Origin::Socket),
        keepintvl_ms: set(10_000, Origin::Netns),
        keepcnt: set(9, Origin::Default),
        user_timeout_ms: set(0, Origin::Default),
        next_probe_ms: Some(51_200),
        unanswered: 0,
        silence_ms: Some(8800),
        unacked_bytes: 0,
        rto_ms: 204,
        detect_idle_ms: Some(150_000),
        detect_data_ms: Some(928_692),
    }
}

fn varied() -> Vec<Row> {
    let mut dying = row();
    dying.unanswered = 2;
    dying.user_timeout_ms = set(30_000, Origin::Socket);
    dying.detect_data_ms = Some(30_000);
    dying.unacked_bytes = 1448;
    let mut off = row();
    off.keepalive = Some(false);
    off.next_probe_ms = None;
    off.detect_idle_ms = None;
    let mut listener = off.clone();
    listener.state = State::Listen;
    listener.raddr = "0.0.0.0".parse().unwrap();
    listener.rport = 0;
    listener.silence_ms = None;
    listener.detect_data_ms = None;
    let mut unheld = row();
    unheld.inode = None;
    unheld.owner = Arc::default();
    unheld.keepalive = None;
    unheld.keepidle_ms = None;
    unheld.keepintvl_ms = None;
    unheld.keepcnt = None;
    unheld.user_timeout_ms = None;
    unheld.next_probe_ms = None;
    unheld.detect_idle_ms = None;
    unheld.detect_data_ms = None;
    let mut hostile = row();
    hostile.family = Family::Ipv6;
    hostile.laddr = "2001:db8::1".parse().unwrap();
    hostile.raddr = "2001:db8:0:1::2".parse().unwrap();
    hostile.state = State::CloseWait;
    hostile.owner = owner(4_194_304, "\x1b[31mx\u{202e}");
    let of = Arc::make_mut(&mut hostile.owner);
    of.from = Some(OwnerFrom::Scan);
    of.holders.push(Holder {
        process: process(7, "a;1/b,\"c\"\n"),
        fd: None,
    });
    vec![row(), dying, off, listener, unheld, hostile]
}

fn text(format: Format, screen: Screen, rows: &[Row]) -> String {
    let mut sink = RowSink::new(format, screen);
    let mut out = Vec::new();
    for row in rows {
        sink.row(row, &mut out).unwrap();
    }
    sink.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn each_format_reads_as_kept() {
    let plain = |format| text(format, Screen::plain(), &varied());
    golden("rows.txt", &plain(Format::Table));
    golden("rows.jsonl", &plain(Format::Json));
    golden("rows.csv", &plain(Format::Csv));
    let wide = Screen {
        colour: true,
        columns: 180,
        rows: Some(24),
        ..Screen::plain()
    };
    golden("rows.terminal.txt", &text(Format::Table, wide, &varied()));
}

#[test]
fn a_table_fits_its_screen_as_long_as_anything_can_go() {
    for columns in [99, 120, 160] {
        let screen = Screen {
            columns,
            ..Screen::plain()
        };
        let table = text(Format::Table, screen, &varied());
        for line in table.lines() {
            assert!(line.width() <= columns, "{columns}: {line}");
        }
    }
}

#[test]
fn no_name_reaches_the_screen_as_it_is() {
    for format in [Format::Table, Format::Json, Format::JsonPretty, Format::Csv] {
        let text = text(format, Screen::plain(), &varied());
        let harmful = |c: char| c != '\n' && katrace::sinks::sanitize::is_harmful(c);
        assert!(!text.contains(harmful), "{text:?}");
    }
}

#[test]
fn csv_has_the_fields_of_json_in_their_order() {
    let json = text(Format::Json, Screen::plain(), &varied());
    let record: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let csv = text(Format::Csv, Screen::plain(), &varied());
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names = reader.headers().unwrap().clone();
    let mut sorted: Vec<&str> = names.iter().collect();
    sorted.sort_unstable();
    let mut keys: Vec<&String> = record.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    assert_eq!(sorted, keys);
    let first = json.find("\"family\"").unwrap();
    let mut last = first;
    for name in names.iter().filter(|name| *name != "owners") {
        let at = json.find(&format!("\"{name}\":")).unwrap();
        // A holder's own pid and comm stand later; the row's come first.
        assert!(at >= last, "{name} is out of order");
        last = at;
    }
    assert_eq!(reader.records().count(), varied().len());
}

#[test]
fn a_long_listing_is_written_as_it_comes_and_loses_nothing() {
    let mut sink = RowSink::new(Format::Table, Screen::plain());
    let mut out = Vec::new();
    for _ in 0..2500 {
        sink.row(&row(), &mut out).unwrap();
    }
    let before = String::from_utf8_lossy(&out).lines().count();
    assert_eq!(before, 2501);
    sink.finish(&mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out).lines().count(), 2501);
}

#[test]
fn an_empty_listing_has_a_header_where_people_look_for_one() {
    assert_eq!(text(Format::Table, Screen::plain(), &[]).lines().count(), 1);
    assert_eq!(text(Format::Csv, Screen::plain(), &[]).lines().count(), 1);
    assert_eq!(text(Format::Json, Screen::plain(), &[]), "");
}
