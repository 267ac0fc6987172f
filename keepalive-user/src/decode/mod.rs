//! Bytes to events: pure, total, and the only place that knows both the wire and the domain.
//!
//! Whatever the ring holds, the answer is an event or a reason; nothing here panics, and nothing
//! here asks the host.

mod cause;
mod clock;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

use keepalive_ebpf::wire::{self, COMM_LEN, RECORD_SIZE, Record};
use rustix::io::Errno as Os;

pub use self::clock::Clock;
use crate::event::{Errno, Family, Kind, Settings, Socket, State, Time};

/// One event as the kernel half told it: all but who holds the socket by now.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub time: Time,
    pub socket: Socket,
    pub kind: Kind,
    /// No file refers to the socket any more.
    pub orphan: bool,
    pub evidence: Option<Evidence>,
}

/// A task that the kernel half saw acting on the socket in its own context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// `CLOCK_BOOTTIME` nanoseconds: with the pid, an identity.
    pub start_ns: u64,
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
}

/// Why bytes are no record. They are counted, never guessed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{0} bytes are not the {RECORD_SIZE} of a record")]
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
}

/// Reads one record. `hz` is jiffies per second of the kernel that wrote it.
///
/// # Errors
///
/// The bytes are not a record of this version.
pub fn record(bytes: &[u8], clock: &Clock, hz: u32) -> Result<Decoded, DecodeError> {
    let record = raw(bytes)?;
    let state = state(record.state)?;
    let ms = |jiffies: u32| u64::from(jiffies) * 1000 / u64::from(hz.max(1));
    let orphan = record.flags & wire::flag::ORPHAN != 0;
    Ok(Decoded {
        time: clock.at(record.time_ns),
        kind: kind(&record, state, orphan)?,
        socket: Socket {
            family: family(record.family)?,
            laddr: address(record.laddr),
            lport: record.lport,
            raddr: address(record.raddr),
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
        orphan,
        evidence: evidence(&record)?,
    })
}

fn raw(bytes: &[u8]) -> Result<Record, DecodeError> {
    if bytes.len() != RECORD_SIZE {
        return Err(DecodeError::Length(bytes.len()));
    }
    // SAFETY: the slice is exactly as long as a record, all of whose fields are integers or arrays
    // of them, so any bytes are valid; the read does not ask for alignment.
    let record = unsafe { bytes.as_ptr().cast::<Record>().read_unaligned() };
    if usize::from(record.size) == RECORD_SIZE {
        Ok(record)
    } else {
        Err(DecodeError::Size(record.size))
    }
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
        unknown => return Err(DecodeError::Evidence(unknown)),
    };
    Ok(Some(Evidence {
        pid: record.owner_tgid,
        start_ns: record.owner_start_ns,
        comm: record.owner_comm,
        act,
    }))
}
