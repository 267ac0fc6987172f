//! One flat table. It has the columns of every kind of event; a cell is empty where the kind of its row
//! has no such field.

use std::{
    convert::Infallible,
    fmt::{self, Display, Write as _},
    io::{self, Write},
};

use super::{sanitize::Escaped, timestamp::calendar};
use crate::event::{Kind, Lost, Owner, SocketEvent, Time, Value};

/// The columns before those of [`Kind::COLUMNS`].
const COMMON_COLUMNS: &str = "time,event,family,laddr,lport,raddr,rport,state,netns,inode,pid,comm,\
owners,owner_from,keepidle_ms,keepintvl_ms,keepcnt,user_timeout_ms,silence_ms";

/// How many columns between `event` and those of a kind stay empty in a line without a socket.
const SOCKET_COLUMNS: usize = 17;

/// Writes rows below one header.
#[derive(Debug, Default)]
pub struct Csv {
    headed: bool,
    owners: String,
}

impl Csv {
    /// Writes the header row, once.
    pub(super) fn header(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.headed {
            self.headed = true;
            writeln!(out, "{COMMON_COLUMNS},{}", Kind::COLUMNS.join(","))?;
        }
        Ok(())
    }

    pub(super) fn event(&mut self, event: &SocketEvent, out: &mut Vec<u8>) -> io::Result<()> {
        self.header(out)?;
        let SocketEvent {
            socket,
            owner,
            kind,
            ..
        } = event;
        let set = &socket.settings;
        start(event.time, kind.name(), out)?;
        write!(out, ",{},{}", socket.family.name(), socket.laddr)?;
        write!(out, ",{},{},{}", socket.lport, socket.raddr, socket.rport)?;
        write!(out, ",{},{}", socket.state.name(), socket.netns)?;
        cell(socket.inode, out)?;
        cell(event.process().map(|process| process.pid), out)?;
        out.push(b',');
        if let Some(process) = event.process() {
            quoted(Escaped(&process.comm), &mut self.owners, out)?;
        }
        out.push(b',');
        quoted(Owners(owner), &mut self.owners, out)?;
        cell(owner.from.map(|from| from.name()), out)?;
        write!(out, ",{},{}", set.keepidle_ms, set.keepintvl_ms)?;
        write!(out, ",{},{}", set.keepcnt, set.user_timeout_ms)?;
        cell(socket.silence_ms, out)?;
        KindCells::of(kind).write(out)
    }

    pub(super) fn lost(&mut self, lost: &Lost, out: &mut Vec<u8>) -> io::Result<()> {
        self.header(out)?;
        start(lost.time, "lost", out)?;
        out.extend([b','; SOCKET_COLUMNS]);
        let mut cells = KindCells::empty();
        cells.put("count", Value::Count(lost.count));
        cells.write(out)
    }
}

/// The cells of the columns that differ between kinds, in the order of [`Kind::COLUMNS`].
struct KindCells([Value; Kind::COLUMNS.len()]);

impl KindCells {
    fn empty() -> Self {
        Self([Value::Unknown; Kind::COLUMNS.len()])
    }

    fn of(kind: &Kind) -> Self {
        let mut cells = Self::empty();
        let Ok(()) = kind.each_field(|name, value| {
            cells.put(name, value);
            Ok::<(), Infallible>(())
        });
        cells
    }

    fn put(&mut self, name: &str, value: Value) {
        let columns = Kind::COLUMNS.iter().zip(&mut self.0);
        for (_, cell) in columns.filter(|(column, _)| **column == name) {
            *cell = value;
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        for value in &self.0 {
            match value {
                Value::Count(count) => write!(out, ",{count}")?,
                Value::Millis(ms) => write!(out, ",{ms}")?,
                Value::Flag(flag) => write!(out, ",{flag}")?,
                Value::Word(word) => write!(out, ",{word}")?,
                Value::Error(errno) => write!(out, ",{errno}")?,
                Value::Unknown => out.push(b','),
            }
        }
        writeln!(out)
    }
}

fn start(time: Time, event: &str, out: &mut Vec<u8>) -> io::Result<()> {
    write!(out, "{:.9},{event}", calendar(time))
}

/// Writes a comma, and the value if there is one; the value must need no quotes.
pub(super) fn cell(value: Option<impl Display>, out: &mut Vec<u8>) -> io::Result<()> {
    match value {
        Some(value) => write!(out, ",{value}"),
        None => write!(out, ","),
    }
}

/// Writes a value that may hold commas or quotes (RFC 4180). It holds no line breaks, because names are
/// escaped.
pub(super) fn quoted(
    value: impl Display,
    scratch: &mut String,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    scratch.clear();
    write!(scratch, "{value}").map_err(io::Error::other)?;
    if !scratch.contains([',', '"']) {
        return out.write_all(scratch.as_bytes());
    }
    out.push(b'"');
    for piece in scratch.split_inclusive('"') {
        out.extend_from_slice(piece.as_bytes());
        if piece.ends_with('"') {
            out.push(b'"');
        }
    }
    out.push(b'"');
    Ok(())
}

/// Displays all holders as `pid/comm/fd;…`; the descriptor is empty where it is unknown. A semicolon
/// in a name is written `\x3b`, so that one process cannot look like two.
pub(super) struct Owners<'a>(pub &'a Owner);

impl Display for Owners<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, holder) in self.0.holders.iter().enumerate() {
            let separator = if at == 0 { "" } else { ";" };
            let process = &holder.process;
            write!(f, "{separator}{}/", process.pid)?;
            for (at, piece) in process.comm.split(';').enumerate() {
                let semicolon = if at == 0 { "" } else { "\\x3b" };
                write!(f, "{semicolon}{}", Escaped(piece))?;
            }
            f.write_str("/")?;
            if let Some(fd) = holder.fd {
                write!(f, "{fd}")?;
            }
        }
        Ok(())
    }
}
