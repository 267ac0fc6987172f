//! Bytes to events: pure, total, and the only place that knows both the wire and the domain.
//!
//! Whatever the ring holds, the answer is an event or a reason; nothing here panics, and nothing
//! here asks the host.

mod cause;
mod clock;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use keepalive_ebpf::wire::{
    self, COMM_LEN, NOTICE_SIZE, NOTICED_SIZE, Noticed, RECORD_SIZE, Record, STACK_DEPTH,
};
use rustix::io::Errno as Os;

pub use self::clock::Clock;
use crate::event::{Call, Errno, Family, Kind, Process, Settings, Socket, State, Time};

/// What one record of the ring says.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Event(Decoded),
    Received(Received),
    Notice(Notice),
}

/// A process received the error of a connection whose death was told before.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub time: Time,
    pub inode: u64,
    /// [`Kind::Noticed`]. Where it was told by the stack alone, its errno is 0: that of the death.
    pub kind: Kind,
    /// Return addresses in the kernel, the innermost first, padded with zeros.
    pub stack: [u64; STACK_DEPTH],
}

/// One event as the kernel half told it: all but who holds the socket by now.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub time: Time,
    /// The same moment as the kernel half stamped it, `CLOCK_MONOTONIC` nanoseconds.
    pub monotonic_ns: u64,
    pub socket: Socket,
    pub kind: Kind,
    /// No file refers to the socket any more.
    pub orphan: bool,
    pub evidence: Option<Evidence>,
    /// References to its file: a descriptor each, and calls under way.
    pub refs: u32,
    /// Thread group id that used it last, if there is more than one reference and that was noted.
    pub user: Option<u32>,
}

/// A change among those who hold sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Forked { parent: u32, child: u32 },
    Renamed { pid: u32 },
    Exited { pid: u32 },
    Ended { inode: u64 },
}

/// A task that the kernel half saw acting on the socket in its own context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// `CLOCK_BOOTTIME` nanoseconds: with the pid, an identity.
    pub start_ns: u64,
    /// When it did so, likewise.
    pub since_ns: u64,
    /// Its name then, NUL-padded.
    pub comm: [u8; COMM_LEN],
    pub act: Act,
}

/// What that task did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Connect,
    Accept,
    /// It dropped the last reference.
    Close,
    /// It received the descriptor from another process.
    Receive,
}

/// Why bytes are no record. They are counted, never guessed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{0} bytes are no record")]
    Length(usize),
    #[error("the record says it has {0} bytes")]
    Size(u16),
    #[error("kind {0} is unknown")]
    Kind(u16),
    #[error("address family {0} is unknown")]
    Family(u8),
    #[error("TCP state {0} is unknown")]
    State(u8),
    #[error("evidence {0} is unknown")]
    Evidence(u8),
    #[error("an answer to no probe")]
    NoProbe,
    #[error("call {0} is unknown")]
    Call(u8),
}

/// Reads one record. `hz` is jiffies per second of the kernel that wrote it.
///
/// # Errors
///
/// The bytes are not a record of this version.
pub fn item(bytes: &[u8], clock: &Clock, hz: u32) -> Result<Item, DecodeError> {
    if let Some(record) = raw::<Record>(bytes) {
        sized(record.size, RECORD_SIZE)?;
        let state = state(record.state)?;
        let kind = kind(&record, state, is_orphan(&record))?;
        event(&record, kind, state, clock, hz).map(Item::Event)
    } else if let Some(noticed) = raw::<Noticed>(bytes) {
        sized(noticed.size, NOTICED_SIZE)?;
        received(&noticed, clock).map(Item::Received)
    } else if let Some(notice) = raw::<wire::Notice>(bytes) {
        sized(notice.size, NOTICE_SIZE)?;
        self::notice(&notice).map(Item::Notice)
    } else {
        Err(DecodeError::Length(bytes.len()))
    }
}

fn event(
    record: &Record,
    kind: Kind,
    state: State,
    clock: &Clock,
    hz: u32,
) -> Result<Decoded, DecodeError> {
    let ms = |jiffies: u32| u64::from(jiffies) * 1000 / u64::from(hz.max(1));
    Ok(Decoded {
        time: clock.at(record.time_ns),
        monotonic_ns: record.time_ns,
        kind,
        socket: Socket {
            family: family(record.family)?,
            laddr: address(record.laddr.bytes()),
            lport: record.lport,
            raddr: address(record.raddr.bytes()),
            rport: record.rport,
            state,
            netns: record.netns,
            inode: (record.inode != 0).then_some(record.inode),
            settings: Settings {
                keepidle_ms: ms(record.keepidle),
                keepintvl_ms: ms(record.keepintvl),
                keepcnt: record.keepcnt,
                user_timeout_ms: record.user_timeout,
            },
            silence_ms: match state {
                State::SynSent | State::SynRecv | State::NewSynRecv => None,
                _ => (record.silence != wire::NEVER).then(|| ms(record.silence)),
            },
        },
        orphan: is_orphan(record),
        evidence: evidence(record)?,
        refs: record.refs,
        user: (record.user_tgid != 0).then_some(record.user_tgid),
    })
}

fn is_orphan(record: &Record) -> bool {
    record.flags & wire::flag::ORPHAN != 0
}

/// A type of the wire whose bytes may be anything.
trait Wire: Copy {}
impl Wire for Record {}
impl Wire for Noticed {}
impl Wire for wire::Notice {}

/// The bytes as such a type, if they are as many as it has.
fn raw<T: Wire>(bytes: &[u8]) -> Option<T> {
    if bytes.len() != size_of::<T>() {
        return None;
    }
    // SAFETY: the slice is exactly as long as the type, all of whose fields are integers or arrays
    // of them, so any bytes are valid; the read does not ask for alignment.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

fn sized(said: u16, length: usize) -> Result<(), DecodeError> {
    if usize::from(said) == length {
        Ok(())
    } else {
        Err(DecodeError::Size(said))
    }
}

fn notice(notice: &wire::Notice) -> Result<Notice, DecodeError> {
    Ok(match notice.kind {
        wire::kind::FORKED => Notice::Forked {
            parent: notice.parent,
            child: notice.tgid,
        },
        wire::kind::RENAMED => Notice::Renamed { pid: notice.tgid },
        wire::kind::EXITED => Notice::Exited { pid: notice.tgid },
        wire::kind::ENDED => Notice::Ended {
            inode: notice.inode,
        },
        unknown => return Err(DecodeError::Kind(unknown)),
    })
}

fn received(noticed: &Noticed, clock: &Clock) -> Result<Received, DecodeError> {
    if noticed.kind != wire::kind::NOTICED {
        return Err(DecodeError::Kind(noticed.kind));
    }
    let delay_ns = noticed.time_ns.saturating_sub(noticed.died_ns);
    let kind = Kind::Noticed {
        errno: errno(noticed.err),
        call: match noticed.call {
            wire::call::BY_STACK => None,
            wire::call::RECV => Some(Call::Recv),
            wire::call::SEND => Some(Call::Send),
            wire::call::GETSOCKOPT => Some(Call::Getsockopt),
            unknown => return Err(DecodeError::Call(unknown)),
        },
        process: Process {
            pid: noticed.tgid,
            comm: name(&noticed.comm.bytes()),
            details: None,
        },
        tid: noticed.tid,
        delay_ms: delay_ns as f64 / 1e6,
    };
    Ok(Received {
        time: clock.at(noticed.time_ns),
        inode: noticed.inode,
        kind,
        stack: noticed.stack,
    })
}

/// A task's name, NUL-padded.
pub fn name(comm: &[u8; COMM_LEN]) -> Arc<str> {
    let name = comm.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into()
}

fn kind(record: &Record, state: State, orphan: bool) -> Result<Kind, DecodeError> {
    match record.kind {
        wire::kind::PROBE => Ok(Kind::Probe {
            probe: record.unanswered,
            sent: record.flags & wire::flag::SENT != 0,
        }),
        wire::kind::ANSWERED if record.unanswered == 0 => Err(DecodeError::NoProbe),
        wire::kind::ANSWERED => Ok(Kind::Answered {
            unanswered: record.unanswered,
            rtt_ms: (record.rtt_us != wire::NO_RTT).then(|| f64::from(record.rtt_us) / 1000.0),
        }),
        wire::kind::STALLED => Ok(Kind::Stalled {
            unacked_bytes: record.write_seq.wrapping_sub(record.snd_una),
            retransmits: record.retransmits,
        }),
        wire::kind::TIMEOUT => Ok(Kind::Timeout {
            cause: cause::of(record, state, orphan),
            errno: errno(record.err),
            unanswered: record.unanswered,
            retransmits: record.retransmits,
        }),
        wire::kind::RESET => Ok(Kind::Reset {
            errno: reset_errno(state),
            after_probe: record.unanswered > 0,
        }),
        unknown => Err(DecodeError::Kind(unknown)),
    }
}

/// What `tcp_reset` (net/ipv4/tcp_input.c) is about to set.
fn reset_errno(state: State) -> Errno {
    Errno(
        match state {
            State::SynSent => Os::CONNREFUSED,
            State::CloseWait => Os::PIPE,
            State::Established
            | State::SynRecv
            | State::FinWait1
            | State::FinWait2
            | State::TimeWait
            | State::Close
            | State::LastAck
            | State::Listen
            | State::Closing
            | State::NewSynRecv => Os::CONNRESET,
        }
        .raw_os_error(),
    )
}

fn errno(raw: u32) -> Errno {
    Errno(i32::try_from(raw).unwrap_or(i32::MAX))
}

pub(crate) fn family(raw: u8) -> Result<Family, DecodeError> {
    match raw {
        wire::AF_INET => Ok(Family::Ipv4),
        wire::AF_INET6 => Ok(Family::Ipv6),
        unknown => Err(DecodeError::Family(unknown)),
    }
}

/// An IPv4 address travels v4-mapped; any other mapped address is printed as IPv4 too.
pub(crate) fn address(raw: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(raw).to_canonical()
}

/// include/net/tcp_states.h.
pub(crate) fn state(raw: u8) -> Result<State, DecodeError> {
    Ok(match raw {
        1 => State::Established,
        2 => State::SynSent,
        3 => State::SynRecv,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        7 => State::Close,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listen,
        11 => State::Closing,
        12 => State::NewSynRecv,
        unknown => return Err(DecodeError::State(unknown)),
    })
}

fn evidence(record: &Record) -> Result<Option<Evidence>, DecodeError> {
    let act = match record.owner_from {
        wire::owner_from::UNKNOWN => return Ok(None),
        wire::owner_from::CONNECT => Act::Connect,
        wire::owner_from::ACCEPT => Act::Accept,
        wire::owner_from::CLOSE => Act::Close,
        wire::owner_from::PASSED => Act::Receive,
        unknown => return Err(DecodeError::Evidence(unknown)),
    };
    Ok(Some(Evidence {
        pid: record.owner_tgid,
        start_ns: record.owner_start_ns,
        since_ns: record.owner_since_ns,
        comm: record.owner_comm.bytes(),
        act,
    }))
}
