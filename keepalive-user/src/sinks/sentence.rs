//! What happened, in words. Each event has a full form and shorter ones for narrow screens.

use std::fmt::{self, Write};

use crate::{
    event::{Call, Cause, Errno, Kind, Socket},
    format::{Micros, Millis},
};

/// How much a sentence leaves out: 0 = nothing.
pub(super) type Brevity = u8;

/// From here on a timeout is told by its cause, not in a sentence.
const CAUSE_FIRST: Brevity = 3;

/// The shortest form there is.
pub(super) const SHORTEST: Brevity = 5;

/// Appends the sentence for an event of this socket.
pub(super) fn write(
    to: &mut String,
    socket: &Socket,
    kind: &Kind,
    brevity: Brevity,
) -> fmt::Result {
    match kind {
        Kind::Probe { probe, sent } => {
            if brevity == 0 {
                to.write_str("probe ")?;
            }
            of_limit(to, *probe, socket)?;
            to.write_str(if *sent { " sent" } else { " not sent" })?;
            let peer = if brevity < 2 {
                ", peer silent "
            } else {
                ", silent "
            };
            silence(to, socket, peer)?;
            if brevity == 0 {
                let set = &socket.settings;
                let (idle, interval) = (Millis(set.keepidle_ms), Millis(set.keepintvl_ms));
                write!(to, "; first after {idle}, then every {interval}")?;
            }
            Ok(())
        }
        Kind::Answered { unanswered, rtt_ms } => {
            let plural = if *unanswered == 1 { "" } else { "s" };
            write!(to, "after {unanswered} probe{plural}")?;
            match rtt_ms {
                Some(ms) if brevity < 2 => write!(to, ", round trip {}", Micros::from_ms(*ms)),
                Some(ms) => write!(to, ", rtt {}", Micros::from_ms(*ms)),
                None => Ok(()),
            }
        }
        Kind::Stalled {
            unacked_bytes,
            retransmits,
        } => {
            let (suspended, unit) = if brevity == 0 {
                ("keepalive suspended: ", "bytes unacknowledged")
            } else {
                ("", "B unacked")
            };
            write!(
                to,
                "{suspended}{unacked_bytes} {unit}, {retransmits} retransmits"
            )
        }
        Kind::Timeout {
            cause,
            errno,
            unanswered,
            retransmits,
        } => timeout(
            to,
            socket,
            *cause,
            *errno,
            (*unanswered, *retransmits),
            brevity,
        ),
        Kind::Reset { errno, after_probe } => {
            if brevity == 0 {
                to.write_str("peer sent ")?;
            }
            let after = if *after_probe { " after a probe" } else { "" };
            write!(to, "RST{after} → {errno}")
        }
        Kind::Noticed {
            errno,
            call,
            delay_ms,
            ..
        } => {
            let (call, delay) = (
                call.map_or("a call", Call::name),
                Micros::from_ms(*delay_ms),
            );
            match brevity {
                0 => write!(to, "{call} received {errno}, {delay} after the death"),
                1 => write!(to, "{call} → {errno}, {delay} after the death"),
                2 => write!(to, "{call} → {errno} after {delay}"),
                _ => write!(to, "{call} → {errno}, {delay}"),
            }
        }
    }
}

fn timeout(
    to: &mut String,
    socket: &Socket,
    cause: Cause,
    errno: Errno,
    (unanswered, retransmits): (u32, u32),
    brevity: Brevity,
) -> fmt::Result {
    if brevity >= CAUSE_FIRST {
        to.write_str(cause.name())?;
        match cause {
            _ if brevity == SHORTEST => (),
            Cause::Keepalive => {
                to.write_str(" ")?;
                of_limit(to, unanswered, socket)?;
            }
            Cause::Retransmit | Cause::Connect | Cause::Accept => write!(to, " ×{retransmits}")?,
            Cause::UserTimeout | Cause::ZeroWindow | Cause::Other => (),
        }
        if brevity < SHORTEST {
            let silent = brevity == CAUSE_FIRST;
            silence(to, socket, if silent { ", silent " } else { ", " })?;
        }
        return write!(to, " → {errno}");
    }
    let start = to.len();
    let probes = if brevity == 0 { " probes" } else { "" };
    match cause {
        Cause::Keepalive => {
            of_limit(to, unanswered, socket)?;
            write!(to, "{probes} unanswered")?;
        }
        Cause::UserTimeout if unanswered > 0 => write!(to, "{unanswered}{probes} unanswered")?,
        Cause::ZeroWindow => to.write_str("window stayed closed")?,
        // The first transmission counts too: it went unanswered as well.
        Cause::Connect => write!(to, "{} SYNs unanswered", u64::from(retransmits) + 1)?,
        Cause::Accept => write!(to, "{} SYN-ACKs unanswered", u64::from(retransmits) + 1)?,
        Cause::UserTimeout | Cause::Other if retransmits == 0 => (),
        Cause::UserTimeout | Cause::Retransmit | Cause::Other => {
            write!(to, "{retransmits} retransmits")?;
        }
    }
    let lead = match (to.len() > start, brevity) {
        (true, 0) => ", peer silent ",
        (true, 1) => ", silent ",
        (true, _) => ", ",
        (false, _) => "peer silent ",
    };
    silence(to, socket, lead)?;
    if to.len() > start {
        to.write_str(" ")?;
    }
    write!(to, "→ {errno} ({}", cause.name())?;
    if cause == Cause::UserTimeout && brevity == 0 {
        write!(to, " {}", Millis(socket.settings.user_timeout_ms.into()))?;
    }
    to.write_str(")")
}

/// `2/3`, or `2` where the count does not decide: TCP_USER_TIMEOUT is set and overrides it, or it
/// was lowered meanwhile.
fn of_limit(to: &mut String, probes: u32, socket: &Socket) -> fmt::Result {
    let limit = socket.settings.keepcnt;
    if socket.settings.user_timeout_ms == 0 && probes <= limit {
        write!(to, "{probes}/{limit}")
    } else {
        write!(to, "{probes}")
    }
}

fn silence(to: &mut String, socket: &Socket, lead: &str) -> fmt::Result {
    match socket.silence_ms {
        Some(ms) => write!(to, "{lead}{}", Millis(ms)),
        None => Ok(()),
    }
}
