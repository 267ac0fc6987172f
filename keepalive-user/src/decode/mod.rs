//! Bytes to events. The only place that knows both the wire and the domain types.
//!
//! Whatever bytes the ring holds, the answer is an event or a reason. Nothing here panics, and nothing
//! here asks the host.

mod cause;
mod clock;
mod fields;
mod item;
mod message;
#[cfg(test)]
mod tests;

use keepalive_ebpf::wire::{self, Noticed, Record};
use rustix::io::Errno as Os;

pub(crate) use self::fields::{address, family, state};
pub use self::{
    clock::Clock,
    fields::name,
    item::{Act, DecodeError, Decoded, Evidence, Item, Notice, Received},
};

use self::{fields::errno, message::message};
use crate::event::{Call, Errno, Kind, Process, Settings, Socket, State};

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
