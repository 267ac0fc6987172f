//! Aligned lines for people, with as many columns as the screen has room for.

use std::{
    fmt::{Display, Write as _},
    io::{self, Write},
    iter,
    net::SocketAddr,
};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::super::{process, sanitize::Escaped, screen::Screen};
use crate::{
    event::{Owner, State},
    format::Millis,
    snapshot::{Origin, Row, Setting},
};

/// This many first rows decide the widths of the columns. A longer cell in a later row makes only its own
/// line wider.
const SAMPLE: usize = 1000;
/// Columns for a process; a longer name is cut.
const PROCESS: usize = 20;

/// One column.
struct Column {
    title: &'static str,
    /// Its cells are aligned to the right.
    right: bool,
    /// On a narrow screen the column with the highest number is left out first; 0 = never.
    dropped_at: u8,
}

const fn column(title: &'static str, right: bool, dropped_at: u8) -> Column {
    Column {
        title,
        right,
        dropped_at,
    }
}

const COLUMNS: [Column; 13] = [
    column("STATE", false, 0),
    column("LOCAL→PEER", false, 9),
    column("PORT→PEER", false, 0),
    column("KEEPALIVE", false, 0),
    column("USER", true, 2),
    column("NEXT", true, 4),
    column("LOST", true, 5),
    column("SILENT", true, 7),
    column("UNACKED", true, 8),
    column("IDLE-DEAD", true, 1),
    column("DATA-DEAD", true, 3),
    column("PROCESS", false, 0),
    column("PLACE", false, 6),
];

const LOCAL: usize = 1;
const PORT: usize = 2;
const LOST: usize = 6;
const PLACE: usize = 12;

type Cells = [String; COLUMNS.len()];

/// The table of one listing.
#[derive(Debug)]
pub struct RowTable {
    screen: Screen,
    kept: Vec<Cells>,
    /// The width of each column, `None` = not shown. Known once the sample is complete.
    widths: Option<[Option<usize>; COLUMNS.len()]>,
}

impl RowTable {
    pub(super) fn new(screen: Screen) -> Self {
        Self {
            screen,
            kept: Vec::new(),
            widths: None,
        }
    }

    pub(super) fn row(&mut self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        let cells = cells(row);
        if let Some(widths) = self.widths {
            return self.line(&cells, &widths, out);
        }
        self.kept.push(cells);
        if self.kept.len() < SAMPLE {
            return Ok(());
        }
        self.finish(out)
    }

    /// Writes the header, and the rows that were kept for the sample.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if self.widths.is_some() {
            return Ok(());
        }
        let widths = self.fit();
        self.widths = Some(widths);
        let bold = self.style(Style::new().bold());
        write!(out, "{bold}")?;
        let titles = COLUMNS.map(|column| column.title.to_owned());
        self.line(&titles, &widths, out)?;
        // The style must end before the line break.
        if bold != Style::new() {
            out.pop();
            writeln!(out, "{bold:#}")?;
        }
        for cells in std::mem::take(&mut self.kept) {
            self.line(&cells, &widths, out)?;
        }
        Ok(())
    }

    /// Leaves columns out until the others fit.
    fn fit(&self) -> [Option<usize>; COLUMNS.len()] {
        let mut widths = [None; COLUMNS.len()];
        for (at, column) in COLUMNS.iter().enumerate() {
            let cells = self.kept.iter().filter_map(|cells| cells.get(at));
            let widest = cells.map(|cell| cell.width()).max().unwrap_or(0);
            // Where no socket's place is known, that column is left out.
            if at != PLACE || widest > 0 {
                widths[at] = Some(widest.max(column.title.width()));
            }
        }
        let total = |widths: &[Option<usize>]| {
            let shown = widths.iter().flatten();
            shown.clone().sum::<usize>() + shown.count().saturating_sub(1)
        };
        // One of the two is shown: the column with both addresses, or the one with the local port.
        let port = widths[PORT].take();
        while total(&widths) > self.screen.columns {
            let shown = COLUMNS.iter().enumerate();
            let least = shown
                .filter(|(at, column)| column.dropped_at > 0 && widths[*at].is_some())
                .max_by_key(|(_, column)| column.dropped_at);
            let Some((at, _)) = least else { break };
            widths[at] = None;
            if at == LOCAL {
                widths[PORT] = port;
            }
        }
        widths
    }

    fn line(
        &self,
        cells: &Cells,
        widths: &[Option<usize>; COLUMNS.len()],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let start = out.len();
        let mut gap = "";
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let Some(width) = width else { continue };
            let pad = width.saturating_sub(cell.width());
            let (before, after) = if COLUMNS.get(at).is_some_and(|column| column.right) {
                (pad, 0)
            } else {
                (0, pad)
            };
            out.extend(gap.bytes().chain(iter::repeat_n(b' ', before)));
            let is_dying = || cell.parse::<u32>().is_ok_and(|lost| lost > 0);
            if self.screen.colour && at == LOST && is_dying() {
                let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
                write!(out, "{style}{cell}{style:#}")?;
            } else {
                out.extend(cell.bytes());
            }
            out.extend(iter::repeat_n(b' ', after));
            gap = " ";
        }
        while out.len() > start && out.last() == Some(&b' ') {
            out.pop();
        }
        writeln!(out)
    }

    fn style(&self, style: Style) -> Style {
        if self.screen.colour {
            style
        } else {
            Style::new()
        }
    }
}

fn cells(row: &Row) -> Cells {
    let mut name = String::new();
    match &row.owner.process {
        Some(owner) => process::write(&mut name, &owner.comm, owner.pid, PROCESS),
        None => name.push('-'),
    }
    let local = SocketAddr::new(row.laddr, row.lport);
    let peer = match row.state {
        State::Listen => "*".to_owned(),
        _ => SocketAddr::new(row.raddr, row.rport).to_string(),
    };
    let time = |ms: Option<u64>| match ms {
        Some(ms) => Millis(ms).to_string(),
        None => "-".to_owned(),
    };
    let connected = row.silence_ms.is_some();
    let detect = |ms: Option<u64>, known: bool| match ms {
        Some(ms) => Millis(ms).to_string(),
        None if !connected => "-".to_owned(),
        None if known => "never".to_owned(),
        None => "?".to_owned(),
    };
    [
        state(row.state).to_owned(),
        format!("{local}→{peer}"),
        format!("{}→{peer}", row.lport),
        keepalive(row),
        match row.user_timeout_ms {
            None => "?".to_owned(),
            Some(Setting { value: 0, .. }) => "-".to_owned(),
            Some(set) => format!("{}{}", Millis(set.value.into()), mark(set.from)),
        },
        time(row.next_probe_ms),
        row.unanswered.to_string(),
        time(row.silence_ms),
        row.unacked_bytes.to_string(),
        detect(row.detect_idle_ms, row.keepalive == Some(false)),
        detect(row.detect_data_ms, row.user_timeout_ms.is_some()),
        name,
        place_of(&row.owner).unwrap_or_default(),
    ]
}

/// `60*/10*/3`, after `off` where keepalive is off.
fn keepalive(row: &Row) -> String {
    let mut text = match row.keepalive {
        Some(true) => String::new(),
        Some(false) => "off ".to_owned(),
        None => return "?".to_owned(),
    };
    let (Some(idle), Some(intvl), Some(cnt)) = (row.keepidle_ms, row.keepintvl_ms, row.keepcnt)
    else {
        return "on ?".to_owned();
    };
    let seconds = |set: Setting<u64>| marked(set.value / 1000, set.from);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{}/{}/{}",
        seconds(idle),
        seconds(intvl),
        marked(cnt.value, cnt.from)
    );
    text
}

fn marked(value: impl Display, from: Origin) -> String {
    format!("{value}{}", mark(from))
}

fn mark(from: Origin) -> &'static str {
    match from {
        Origin::Socket => "*",
        Origin::Netns => "+",
        Origin::Default => "",
    }
}

/// The word that `ss` uses.
fn state(state: State) -> &'static str {
    match state {
        State::Established => "ESTAB",
        State::SynSent => "SYN-SENT",
        State::SynRecv | State::NewSynRecv => "SYN-RECV",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::TimeWait => "TIME-WAIT",
        State::Close => "UNCONN",
        State::CloseWait => "CLOSE-WAIT",
        State::LastAck => "LAST-ACK",
        State::Listen => "LISTEN",
        State::Closing => "CLOSING",
    }
}

/// The container or unit that the owner runs in. Twelve digits of a container's id are enough for
/// people; its runtime shows as many.
fn place_of(owner: &Owner) -> Option<String> {
    let place = owner.process.as_ref()?.details.as_ref()?.place.as_ref()?;
    let container = place.container.as_ref().map(|container| {
        let id = container.id.get(..12).unwrap_or(&container.id);
        match container.runtime {
            Some(runtime) => format!("{}:{id}", runtime.name()),
            None => id.to_owned(),
        }
    });
    let name = container.or_else(|| place.unit.clone())?;
    Some(Escaped(&name).to_string())
}
