//! One JSON object for each record, with the fields of docs/events.md in their order.

mod event;
mod row;
mod run;

use std::io::{self, Write};

use memchr::memchr;
use serde::{Serialize, Serializer};

use super::{sanitize::is_harmful, timestamp::calendar};
use crate::{
    event::{Lost, Ready, SocketEvent, Time},
    snapshot::Row,
    summary::Summary,
};

/// Writes records as JSON, each followed by a newline.
#[derive(Debug)]
pub struct Json {
    pretty: bool,
}

impl Json {
    pub(super) fn compact() -> Self {
        Self { pretty: false }
    }

    pub(super) fn pretty() -> Self {
        Self { pretty: true }
    }

    pub(super) fn ready(&self, ready: &Ready, out: &mut Vec<u8>) -> io::Result<()> {
        self.write(&run::ReadyRecord(ready), out)
    }

    pub(super) fn event(&self, event: &SocketEvent, out: &mut Vec<u8>) -> io::Result<()> {
        self.write(&event::EventRecord(event), out)
    }

    pub(super) fn lost(&self, lost: &Lost, out: &mut Vec<u8>) -> io::Result<()> {
        self.write(&run::LostRecord(lost), out)
    }

    pub(super) fn summary(&self, summary: &Summary, out: &mut Vec<u8>) -> io::Result<()> {
        self.write(&run::SummaryRecord(summary), out)
    }

    pub(super) fn row(&self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        self.write(&row::RowRecord(row), out)
    }

    pub(super) fn write(&self, record: &impl Serialize, out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        if self.pretty {
            record.serialize(&mut serde_json::Serializer::pretty(&mut *out))?;
        } else {
            record.serialize(&mut serde_json::Serializer::new(&mut *out))?;
        }
        // The whole record is searched at once, because serde_json writes it in a hundred small pieces.
        let written = &out[start..];
        if !written.is_ascii() || memchr(DELETE, written).is_some() {
            let record = out.split_off(start);
            harmless(&String::from_utf8_lossy(&record), out)?;
        }
        out.push(b'\n');
        Ok(())
    }
}

/// The only ASCII control character that serde_json does not escape.
const DELETE: u8 = 0x7f;

/// Appends JSON, and writes as `\uXXXX` each character that serde_json leaves and that is not safe for a
/// terminal. JSON's syntax is ASCII, so such a character is always inside a string.
fn harmless(json: &str, out: &mut Vec<u8>) -> io::Result<()> {
    for c in json.chars() {
        // serde_json has escaped the lower control characters in strings; those left are line breaks of
        // the layout.
        if c >= char::from(DELETE) && is_harmful(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(())
}

/// RFC 3339 in UTC, always with nine digits, so that sorting the text sorts by time.
struct Rfc3339(Time);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:.9}", calendar(self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_is_no_harm() {
        let mut out = b"before ".to_vec();
        Json::pretty().write(&["a\u{202e}"], &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "before [\n  \"a\\u202e\"\n]\n"
        );
    }

    #[test]
    fn what_json_would_let_through_is_escaped_and_reads_back() {
        let hostile = "\x1b[31m\u{7f}\u{9b}1m\u{202e}x\u{e0041}\"\\→";
        let mut out = Vec::new();
        Json::compact().write(&hostile, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "\"\\u001b[31m\\u007f\\u009b1m\\u202ex\\udb40\\udc41\\\"\\\\→\"\n"
        );
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
