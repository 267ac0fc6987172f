//! Aligned lines for people: when, what, who, with whom, and a sentence about it.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    net::SocketAddr,
};

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr as _};

use super::{
    sanitize::Escaped,
    screen::Screen,
    sentence::{self, SHORTEST},
    timestamp::calendar,
};
use crate::event::{Kind, Lost, Socket, SocketEvent, Time};

/// `HH:MM:SS`.
const TIME: usize = 8;
/// The longest event word.
const EVENT: usize = 8;
/// Where `comm/pid` starts and ends growing; a longer name is cut, a pid never.
const PROCESS: (usize, usize) = (13, 16);
/// A screen of so many columns has room for this host's address too.
const WIDE: usize = 140;
/// Where the ends start, `port→peer:port` and with both addresses; they grow to the longest seen,
/// so that later lines align.
const ENDS: (usize, usize) = (21, 37);
/// Between the ends.
const ARROW: &str = "→";

/// The table with its column widths, which only grow.
#[derive(Debug)]
pub struct Table {
    screen: Screen,
    wide: bool,
    process_width: usize,
    ends_width: usize,
    /// Lines below the last header; `None` before the first.
    below_header: Option<usize>,
    process: String,
    ends: String,
    sentence: String,
    /// The second of the last line, and how it reads.
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

    /// Writes the names of the columns; the first is the zone of the times below it.
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

    pub(super) fn event(&mut self, event: &SocketEvent, out: &mut Vec<u8>) -> io::Result<()> {
        let socket = &event.socket;
        self.process.clear();
        match event.process() {
            Some(named) => process(&mut self.process, &named.comm, named.pid, PROCESS.1),
            None => self.process.push('-'),
        }
        self.ends.clear();
        write_ends(&mut self.ends, socket, self.wide).map_err(io::Error::other)?;
        // One character of it is no ASCII: the arrow, a column wide.
        let ends = self.ends.len() + 1 - ARROW.len();
        let process = width(&self.process);
        let grown = process > self.process_width || ends > self.ends_width;
        self.process_width = self.process_width.max(process);
        self.ends_width = self.ends_width.max(ends);
        self.start(
            event.time,
            event.kind.name(),
            colour(&event.kind),
            grown,
            out,
        )?;

        let left = TIME + 1 + EVENT + 1 + self.process_width + 1 + self.ends_width + 1;
        let room = self.screen.columns.saturating_sub(left);
        for brevity in 0..=SHORTEST {
            self.sentence.clear();
            sentence::write(&mut self.sentence, socket, &event.kind, brevity)
                .map_err(io::Error::other)?;
            if width(&self.sentence) <= room {
                break;
            }
        }
        writeln!(
            out,
            "{}{:process$} {}{:ends$} {}",
            self.process,
            "",
            self.ends,
            "",
            self.sentence,
            process = self.process_width - process,
            ends = self.ends_width - ends,
        )
    }

    pub(super) fn lost(&mut self, lost: &Lost, out: &mut Vec<u8>) -> io::Result<()> {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        self.start(lost.time, "lost", red, false, out)?;
        writeln!(
            out,
            "{} records: the ring was full; raise --ring-size or narrow the filters",
            lost.count
        )
    }

    /// Writes what every line begins with, and a header first where one is due.
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
            // One line of the screen is the header's, one the cursor's.
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

    /// The time of day, worked out once for all lines of a second.
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

/// Appends `comm/pid` in at most `limit` columns, cutting the name where it must.
pub(super) fn process(to: &mut String, comm: &str, pid: u32, limit: usize) {
    // Writing to a String cannot fail.
    let _ = write!(to, "{}", Escaped(comm));
    let room = limit.saturating_sub(1 + pid.checked_ilog10().unwrap_or(0) as usize + 1);
    if width(to) > room {
        let mut used = 1;
        let cut = to.char_indices().find_map(|(at, c)| {
            used += c.width().unwrap_or(0);
            (used > room).then_some(at)
        });
        to.truncate(cut.unwrap_or(to.len()));
        to.push('…');
    }
    let _ = write!(to, "/{pid}");
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

/// Columns of a text without controls. Nearly all is ASCII, which needs no tables.
fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

fn colour(kind: &Kind) -> Style {
    let colour = match kind {
        Kind::Probe { .. } => return Style::new(),
        Kind::Answered { .. } => AnsiColor::Green,
        Kind::Stalled { .. } => AnsiColor::Yellow,
        Kind::Timeout { .. } => AnsiColor::Red,
        Kind::Reset { .. } => AnsiColor::Magenta,
        Kind::Noticed { .. } => AnsiColor::Cyan,
    };
    Style::new().fg_color(Some(colour.into()))
}
