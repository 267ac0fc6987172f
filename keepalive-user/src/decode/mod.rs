//! Bytes to events. The only place that knows both the wire and the domain types.
//!
//! Whatever bytes the ring holds, the answer is an event or a reason. Nothing here panics, and nothing
//! here asks the host.

mod cause;
mod clock;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use keepalive_ebpf::wire::{self, COMM_LEN, Noticed, Record, STACK_DEPTH};
use rustix::io::Errno as Os;

pub use self::clock::Clock;
use crate::event::{Call, Errno, Family, Kind, Process, Settings, Socket, State, Time};

/// What one message of the ring says.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event of a socket.
    Event(Decoded),
    /// A process received an error.
    Received(Received),
    /// A change that matters to whoever remembers the owners of sockets.
    Notice(Notice),
}

/// A process received the error of a dead connection. The death was told before.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// When it received the error.
    pub time: Time,
    /// Inode number of the socket.
    pub inode: u64,
    /// [`Kind::Noticed`]. Its errno is 0 if the kernel half knows only the stack: then it is the errno
    /// of the death.
    pub kind: Kind,
    /// Return addresses in the kernel, the innermost first, padded with zeros.
    pub stack: [u64; STACK_DEPTH],
}

/// One event as the kernel half told it. Who holds the socket now is not known here.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// When it happened.
    pub time: Time,
    /// The same moment: `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic_ns: u64,
    /// The socket at that moment.
    pub socket: Socket,
    /// What happened.
    pub kind: Kind,
    /// No file refers to the socket any more.
    pub orphan: bool,
    /// The process that was seen acting on the socket, if one was.
    pub evidence: Option<Evidence>,
    /// References to its file: its descriptors, and calls that are running.
    pub refs: u32,
    /// Thread group id that used it last. Known only if there is more than one reference.
    pub user: Option<u32>,
}

/// A change that matters to whoever remembers the owners of sockets. Processes are told by their thread
/// group ids in the initial pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A process started another.
    Forked {
        /// The process that started it.
        parent: u32,
        /// The process that was started.
        child: u32,
    },
    /// A process changed its name, mostly by exec.
    Renamed {
        /// The process.
        pid: u32,
    },
    /// A process ended.
    Exited {
        /// The process.
        pid: u32,
    },
    /// A socket is gone.
    Ended {
        /// Its inode number.
        inode: u64,
    },
}

/// A process that the kernel half saw acting on the socket, in the process's own context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// Its start: `CLOCK_BOOTTIME`, nanoseconds. Together with the pid this is an identity.
    pub start_ns: u64,
    /// When it acted: `CLOCK_BOOTTIME`, nanoseconds.
    pub since_ns: u64,
    /// Its name at that moment, NUL-padded.
    pub comm: [u8; COMM_LEN],
    /// What it did.
    pub act: Act,
}

/// What a process did to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It called connect.
    Connect,
    /// It called accept.
    Accept,
    /// It dropped the last reference.
    Close,
    /// It received the descriptor from another process.
    Receive,
}

/// Why bytes are no message. Such bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// So many bytes are not a message of their kind.
    #[error("{0} bytes are no record")]
    Length(usize),
    /// The size that the message itself states is another.
    #[error("the record says it has {0} bytes")]
    Size(u16),
    /// No kind has this number.
    #[error("kind {0} is unknown")]
    Kind(u16),
    /// It is neither `AF_INET` nor `AF_INET6`.
    #[error("address family {0} is unknown")]
    Family(u8),
    /// No TCP state has this number.
    #[error("TCP state {0} is unknown")]
    State(u8),
    /// [`Act`] has nothing for this number.
    #[error("evidence {0} is unknown")]
    Evidence(u8),
    /// The peer answered, but no probe was unanswered.
    #[error("an answer to no probe")]
    NoProbe,
    /// [`Call`] has nothing for this number.
    #[error("call {0} is unknown")]
    Call(u8),
}

/// Reads one message of the ring. `hz` is jiffies per second of the kernel that wrote it.
///
/// # Errors
///
/// The bytes are not a message of this version.
pub fn item(bytes: &[u8], clock: &Clock, hz: u32) -> Result<Item, DecodeError> {
    let kind = bytes
        .first_chunk()
        .map(|kind| u16::from_ne_bytes(*kind))
        .ok_or(DecodeError::Length(bytes.len()))?;
    match kind {
        wire::kind::PROBE..=wire::kind::RESET => {
            let record: Record = message(bytes)?;
            let state = state(record.state)?;
            let kind = self::kind(&record, state, is_orphan(&record))?;
            event(&record, kind, state, clock, hz).map(Item::Event)
        }
        wire::kind::NOTICED => received(&message(bytes)?, clock).map(Item::Received),
        wire::kind::FORKED..=wire::kind::ENDED => notice(&message(bytes)?).map(Item::Notice),
        unknown => Err(DecodeError::Kind(unknown)),
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

/// A type of the wire. All of its fields are integers or arrays of them, so any bytes are valid.
trait Wire: Copy {
    /// The size that the message itself states.
    fn stated_size(&self) -> u16;
}

impl Wire for Record {
    fn stated_size(&self) -> u16 {
        self.size
    }
}

impl Wire for Noticed {
    fn stated_size(&self) -> u16 {
        self.size
    }
}

impl Wire for wire::Notice {
    fn stated_size(&self) -> u16 {
        self.size
    }
}

/// The bytes as such a type, if their number is right and they state the same.
fn message<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() != size_of::<T>() {
        return Err(DecodeError::Length(bytes.len()));
    }
    // SAFETY: there are exactly as many bytes as the type has, and by `Wire` any bytes are valid for
    // it. The read does not ask for alignment.
    let message = unsafe { bytes.as_ptr().cast::<T>().read_unaligned() };
    if usize::from(message.stated_size()) != size_of::<T>() {
        return Err(DecodeError::Size(message.stated_size()));
    }
    Ok(message)
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

/// The name of a task from its NUL-padded bytes.
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

/// The errno that `tcp_reset` (net/ipv4/tcp_input.c) sets in this state.
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

/// On the wire an IPv4 address is v4-mapped. So any v4-mapped address becomes IPv4.
pub(crate) fn address(raw: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(raw).to_canonical()
}

/// The states of include/net/tcp_states.h.
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
