//! Aligned lines for people: time, kind of event, process, both ends, and a sentence about it.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    net::SocketAddr,
};

use anstyle::{AnsiColor, Style};

use super::{
    process::{self, width},
    screen::Screen,
    sentence::{self, Brevity},
    timestamp::calendar,
};
use crate::event::{Lost, Socket, SocketEvent, Time};

/// Columns of `HH:MM:SS`.
const TIME: usize = 8;
/// Columns of the longest word for a kind of event.
const EVENT: usize = 8;
/// The least and the largest width of `comm/pid`. A longer name is cut; a pid never is.
const PROCESS: (usize, usize) = (13, 16);
/// From this many columns on, the screen has room for this host's address too.
const WIDE: usize = 140;
/// The least width of the ends: of `port→peer:port`, and of both addresses. The column grows to the
/// longest that was written, so that later lines align.
const ENDS: (usize, usize) = (21, 37);
/// Stands between the ends.
const ARROW: &str = "→";

/// The table, and the widths of its columns, which only grow.
#[derive(Debug)]
pub struct Table {
    screen: Screen,
    wide: bool,
    process_width: usize,
    ends_width: usize,
    /// How many lines were written since the last header; `None` before the first header.
    below_header: Option<usize>,
    process: String,
    ends: String,
    sentence: String,
    /// The second of the last line since the epoch, and its text.
    second: Option<(i128, String)>,
}

impl Table {
    pub(super) fn new(screen: Screen) -> Self {
        let wide = screen.columns >= WIDE;
        Self {
            screen,
            wide,
            process_width: PROCESS.0,
            ends_width: if wide { ENDS.1 } else { ENDS.0 },
            below_header: None,
            process: String::new(),
            ends: String::new(),
            sentence: String::new(),
            second: None,
        }
    }

    /// Writes the titles of the columns. The title of the first one is the time zone.
    pub(super) fn header(&mut self, time: Time, out: &mut Vec<u8>) -> io::Result<()> {
        let bold = self.style(Style::new().bold());
        let seconds = self.screen.zone.to_offset(calendar(time)).seconds();
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
        let zone = match (minutes / 60, minutes % 60) {
            (0, 0) => "UTC".to_owned(),
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
        };
        writeln!(
            out,
            "{bold}{zone:TIME$} {:EVENT$} {:process$} {:ends$} WHAT{bold:#}",
            "EVENT",
            "PROCESS",
            if self.wide {
                "LOCAL→PEER"
            } else {
                "PORT→PEER"
            },
            process = self.process_width,
            ends = self.ends_width,
        )?;
        self.below_header = Some(0);
        Ok(())
    }

    /// Writes the line of one event.
    pub(super) fn event(&mut self, event: &SocketEvent, out: &mut Vec<u8>) -> io::Result<()> {
        let grown = self.write_cells(event).map_err(io::Error::other)?;
        let facts = event.kind.event_kind().facts();
        let style = Style::new().fg_color(facts.colour.map(Into::into));
        self.start(event.time, facts.word, style, grown, out)?;
        self.write_sentence(event).map_err(io::Error::other)?;
        writeln!(
            out,
            "{}{:process$} {}{:ends$} {}",
            self.process,
            "",
            self.ends,
            "",
            self.sentence,
            process = self.process_width.saturating_sub(width(&self.process)),
            ends = self.ends_width.saturating_sub(ends_width(&self.ends)),
        )
    }

    /// Writes the cells between the event's word and its sentence, and widens their columns where
    /// needed. True if a column grew.
    fn write_cells(&mut self, event: &SocketEvent) -> Result<bool, fmt::Error> {
        self.process.clear();
        match event.process() {
            Some(known) => process::write(&mut self.process, &known.comm, known.pid, PROCESS.1),
            None => self.process.push('-'),
        }
        self.ends.clear();
        write_ends(&mut self.ends, &event.socket, self.wide)?;
        let (process, ends) = (width(&self.process), ends_width(&self.ends));
        let grown = process > self.process_width || ends > self.ends_width;
        self.process_width = self.process_width.max(process);
        self.ends_width = self.ends_width.max(ends);
        Ok(grown)
    }

    /// Writes the longest form of the sentence that fits on the line.
    fn write_sentence(&mut self, event: &SocketEvent) -> fmt::Result {
        let left = TIME + 1 + EVENT + 1 + self.process_width + 1 + self.ends_width + 1;
        let room = self.screen.columns.saturating_sub(left);
        for brevity in Brevity::ALL {
            self.sentence.clear();
            sentence::write(&mut self.sentence, &event.socket, &event.kind, brevity)?;
            if width(&self.sentence) <= room {
                break;
            }
        }
        Ok(())
    }

    /// Writes the line that says how many records were lost.
    pub(super) fn lost(&mut self, lost: &Lost, out: &mut Vec<u8>) -> io::Result<()> {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        self.start(lost.time, "lost", red, false, out)?;
        writeln!(
            out,
            "{} records: the ring was full; raise --ring-size or narrow the filters",
            lost.count
        )
    }

    /// Writes the time and the word with which every line begins. Where a header is due, writes that
    /// first.
    fn start(
        &mut self,
        time: Time,
        word: &str,
        style: Style,
        realigned: bool,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let due = match (self.below_header, self.screen.rows) {
            (None, _) => true,
            (Some(_), None) => false,
            // The header takes one line of the screen, the cursor another.
            (Some(lines), Some(rows)) => realigned || lines + 2 >= rows,
        };
        if due {
            self.header(time, out)?;
        }
        self.below_header = self.below_header.map(|lines| lines + 1);
        let style = self.style(style);
        let clock = self.clock(time);
        write!(
            out,
            "{clock} {style}{word}{style:#}{:pad$} ",
            "",
            pad = EVENT.saturating_sub(word.len()),
        )
    }

    /// The time of day. It is computed once for all lines of the same second.
    fn clock(&mut self, time: Time) -> &str {
        let second = time.0.div_euclid(1_000_000_000);
        let known = self.second.take().filter(|(known, _)| *known == second);
        let zone = &self.screen.zone;
        let (_, text) = self.second.insert(known.unwrap_or_else(|| {
            let clock = zone.to_datetime(calendar(time)).time();
            let (hour, minute) = (clock.hour(), clock.minute());
            let text = format!("{hour:02}:{minute:02}:{:02}", clock.second());
            (second, text)
        }));
        text
    }

    fn style(&self, style: Style) -> Style {
        if self.screen.colour {
            style
        } else {
            Style::new()
        }
    }
}

fn write_ends(to: &mut String, socket: &Socket, wide: bool) -> fmt::Result {
    let ends = [
        SocketAddr::new(socket.laddr, socket.lport),
        SocketAddr::new(socket.raddr, socket.rport),
    ];
    if wide {
        write!(to, "{}{ARROW}{}", ends[0], ends[1])
    } else {
        write!(to, "{}{ARROW}{}", socket.lport, ends[1])
    }
}

/// How many columns both ends take. All characters are ASCII but the arrow, which takes one column.
fn ends_width(ends: &str) -> usize {
    ends.len() + 1 - ARROW.len()
}
