//! One flat table: the columns of every kind of event side by side, empty where a kind has none.

use std::{
    fmt::{self, Display, Write as _},
    io::{self, Write},
};

use super::{sanitize::Escaped, text::microseconds, timestamp::calendar};
use crate::event::{Errno, Kind, Lost, SocketEvent, Time};

const HEADER: &str = "time,event,family,laddr,lport,raddr,rport,state,netns,inode,pid,comm,owners,\
owner_from,keepidle_ms,keepintvl_ms,keepcnt,user_timeout_ms,silence_ms,probe,sent,unanswered,rtt_ms,\
unacked_bytes,retransmits,cause,errno,after_probe,count,call,tid,delay_ms";

/// Columns between `event` and those of a kind: what a line without a socket leaves empty.
const SOCKET_COLUMNS: usize = 17;

/// Writes rows, below one header.
#[derive(Debug, Default)]
pub struct Csv {
    headed: bool,
    owners: String,
}

/// The columns of every kind, in order.
#[derive(Default)]
struct KindColumns {
    probe: Option<u32>,
    sent: Option<bool>,
    unanswered: Option<u32>,
    rtt_ms: Option<f64>,
    unacked_bytes: Option<u32>,
    retransmits: Option<u32>,
    cause: Option<&'static str>,
    errno: Option<Errno>,
    after_probe: Option<bool>,
    count: Option<u64>,
    call: Option<&'static str>,
    tid: Option<u32>,
    delay_ms: Option<f64>,
}

impl Csv {
    /// Writes the header row unless it stands already.
    pub(super) fn header(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.headed {
            self.headed = true;
            writeln!(out, "{HEADER}")?;
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
        quoted(Owners(event), &mut self.owners, out)?;
        cell(owner.from.map(|from| from.name()), out)?;
        write!(out, ",{},{}", set.keepidle_ms, set.keepintvl_ms)?;
        write!(out, ",{},{}", set.keepcnt, set.user_timeout_ms)?;
        cell(socket.silence_ms, out)?;
        KindColumns::of(kind).write(out)
    }

    pub(super) fn lost(&mut self, lost: &Lost, out: &mut Vec<u8>) -> io::Result<()> {
        self.header(out)?;
        start(lost.time, "lost", out)?;
        out.extend([b','; SOCKET_COLUMNS]);
        let columns = KindColumns {
            count: Some(lost.count),
            ..KindColumns::default()
        };
        columns.write(out)
    }
}

impl KindColumns {
    fn of(kind: &Kind) -> Self {
        let none = Self::default();
        match *kind {
            Kind::Probe { probe, sent } => Self {
                probe: Some(probe),
                sent: Some(sent),
                ..none
            },
            Kind::Answered { unanswered, rtt_ms } => Self {
                unanswered: Some(unanswered),
                rtt_ms: rtt_ms.map(microseconds),
                ..none
            },
            Kind::Stalled {
                unacked_bytes,
                retransmits,
            } => Self {
                unacked_bytes: Some(unacked_bytes),
                retransmits: Some(retransmits),
                ..none
            },
            Kind::Timeout {
                cause,
                errno,
                unanswered,
                retransmits,
            } => Self {
                cause: Some(cause.name()),
                errno: Some(errno),
                unanswered: Some(unanswered),
                retransmits: Some(retransmits),
                ..none
            },
            Kind::Reset { errno, after_probe } => Self {
                errno: Some(errno),
                after_probe: Some(after_probe),
                ..none
            },
            Kind::Noticed {
                errno,
                call,
                tid,
                delay_ms,
                // Stands in the columns of the owner.
                process: _,
            } => Self {
                errno: Some(errno),
                call: Some(call.name()),
                tid: Some(tid),
                delay_ms: Some(microseconds(delay_ms)),
                ..none
            },
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        cell(self.probe, out)?;
        cell(self.sent, out)?;
        cell(self.unanswered, out)?;
        cell(self.rtt_ms, out)?;
        cell(self.unacked_bytes, out)?;
        cell(self.retransmits, out)?;
        cell(self.cause, out)?;
        cell(self.errno, out)?;
        cell(self.after_probe, out)?;
        cell(self.count, out)?;
        cell(self.call, out)?;
        cell(self.tid, out)?;
        cell(self.delay_ms, out)?;
        writeln!(out)
    }
}

fn start(time: Time, event: &str, out: &mut Vec<u8>) -> io::Result<()> {
    write!(out, "{:.9},{event}", calendar(time))
}

/// A comma and a value that needs no quotes, or nothing.
fn cell(value: Option<impl Display>, out: &mut Vec<u8>) -> io::Result<()> {
    match value {
        Some(value) => write!(out, ",{value}"),
        None => write!(out, ","),
    }
}

/// A value that may hold commas or quotes (RFC 4180). Line breaks cannot occur: names are escaped.
fn quoted(value: impl Display, scratch: &mut String, out: &mut Vec<u8>) -> io::Result<()> {
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

/// `pid/comm/fd;…`, the descriptor empty where unknown. A semicolon in a name is spelled out, so
/// that no process can pass for two.
struct Owners<'a>(&'a SocketEvent);

impl Display for Owners<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, holder) in self.0.owner.holders.iter().enumerate() {
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
