//! One JSON object a record, with the fields and the order of docs/events.md.

mod event;
mod row;
mod run;

use std::io::{self, Write};

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
        let writer = Harmless(out);
        if self.pretty {
            record.serialize(&mut serde_json::Serializer::pretty(writer))?;
        } else {
            record.serialize(&mut serde_json::Serializer::new(writer))?;
        }
        out.push(b'\n');
        Ok(())
    }
}

/// Escapes as `\uXXXX` what serde_json lets through but a terminal should not see raw. JSON's own
/// syntax is plain ASCII, so whatever is escaped here stood inside a string.
struct Harmless<'a>(&'a mut Vec<u8>);

impl Write for Harmless<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().all(|byte| byte.is_ascii() && *byte != 0x7f) {
            self.0.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        // serde_json hands over whole strings between escapes, so this is always UTF-8.
        for c in String::from_utf8_lossy(bytes).chars() {
            if is_harmful(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(self.0, "\\u{unit:04x}")?;
                }
            } else {
                self.0
                    .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// RFC 3339 in UTC with all nine digits, so that text sorts as time does.
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
