//! What happened, as a sentence. Each event has a full form and shorter ones for narrow screens.

use std::fmt::{self, Write};

use crate::{
    event::{Call, Cause, Errno, Kind, Socket},
    format::{Micros, Millis},
};

/// How much a sentence leaves out, from nothing to all but the essence. Not every kind of event has
/// a form of its own for each; it then uses that of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Brevity {
    /// `probe 2/3 sent, peer silent 5 s; first after 2 s, then every 1 s`
    Full,
    /// Without what the EVENT column and the settings say: `2/3 sent, peer silent 5 s`
    Concise,
    /// Without words that the reader can guess: `2/3 sent, silent 5 s`
    Short,
    /// A timeout by its cause instead of a sentence: `keepalive 3/3, silent 5 s → ETIMEDOUT`
    Cause,
    /// The same without the word `silent`: `keepalive 3/3, 5 s → ETIMEDOUT`
    CauseShort,
    /// The cause and the error alone: `keepalive → ETIMEDOUT`
    CauseAlone,
}

impl Brevity {
    /// Every form, the longest first.
    pub(super) const ALL: [Self; 6] = [
        Self::Full,
        Self::Concise,
        Self::Short,
        Self::Cause,
        Self::CauseShort,
        Self::CauseAlone,
    ];
}

/// Appends the sentence for an event of this socket.
pub(super) fn write(
    to: &mut String,
    socket: &Socket,
    kind: &Kind,
    brevity: Brevity,
) -> fmt::Result {
    match *kind {
        Kind::Probe { probe, sent } => write_probe(to, socket, probe, sent, brevity),
        Kind::Answered { unanswered, rtt_ms } => write_answered(to, unanswered, rtt_ms, brevity),
        Kind::Stalled {
            unacked_bytes,
            retransmits,
        } => write_stalled(to, unacked_bytes, retransmits, brevity),
        Kind::Timeout {
            cause,
            errno,
            unanswered,
            retransmits,
        } => {
            let timeout = Timeout {
                socket,
                cause,
                errno,
                unanswered,
                retransmits,
            };
            if brevity < Brevity::Cause {
                timeout.write_sentence(to, brevity)
            } else {
                timeout.write_cause(to, brevity)
            }
        }
        Kind::Reset { errno, after_probe } => write_reset(to, errno, after_probe, brevity),
        Kind::Noticed {
            errno,
            call,
            delay_ms,
            process: _,
            tid: _,
        } => write_noticed(to, errno, call, delay_ms, brevity),
    }
}

fn write_probe(
    to: &mut String,
    socket: &Socket,
    probe: u32,
    sent: bool,
    brevity: Brevity,
) -> fmt::Result {
    if brevity == Brevity::Full {
        to.write_str("probe ")?;
    }
    write_of_limit(to, probe, socket)?;
    to.write_str(if sent { " sent" } else { " not sent" })?;
    let lead = if brevity < Brevity::Short {
        ", peer silent "
    } else {
        ", silent "
    };
    write_silence(to, socket, lead)?;
    if brevity == Brevity::Full {
        let set = &socket.settings;
        let (idle, interval) = (Millis(set.keepidle_ms), Millis(set.keepintvl_ms));
        write!(to, "; first after {idle}, then every {interval}")?;
    }
    Ok(())
}

fn write_answered(
    to: &mut String,
    unanswered: u32,
    rtt_ms: Option<f64>,
    brevity: Brevity,
) -> fmt::Result {
    let plural = if unanswered == 1 { "" } else { "s" };
    write!(to, "after {unanswered} probe{plural}")?;
    let label = if brevity < Brevity::Short {
        "round trip"
    } else {
        "rtt"
    };
    match rtt_ms {
        Some(ms) => write!(to, ", {label} {}", Micros::from_ms(ms)),
        None => Ok(()),
    }
}

fn write_stalled(
    to: &mut String,
    unacked_bytes: u32,
    retransmits: u32,
    brevity: Brevity,
) -> fmt::Result {
    match brevity {
        Brevity::Full => write!(
            to,
            "keepalive suspended: {unacked_bytes} bytes unacknowledged"
        )?,
        _ => write!(to, "{unacked_bytes} B unacked")?,
    }
    write!(to, ", {retransmits} retransmits")
}

fn write_reset(to: &mut String, errno: Errno, after_probe: bool, brevity: Brevity) -> fmt::Result {
    if brevity == Brevity::Full {
        to.write_str("peer sent ")?;
    }
    let after = if after_probe { " after a probe" } else { "" };
    write!(to, "RST{after} → {errno}")
}

fn write_noticed(
    to: &mut String,
    errno: Errno,
    call: Option<Call>,
    delay_ms: f64,
    brevity: Brevity,
) -> fmt::Result {
    let (call, delay) = (call.map_or("a call", Call::name), Micros::from_ms(delay_ms));
    match brevity {
        Brevity::Full => write!(to, "{call} received {errno}, {delay} after the death"),
        Brevity::Concise => write!(to, "{call} → {errno}, {delay} after the death"),
        Brevity::Short => write!(to, "{call} → {errno} after {delay}"),
        Brevity::Cause | Brevity::CauseShort | Brevity::CauseAlone => {
            write!(to, "{call} → {errno}, {delay}")
        }
    }
}

/// A timeout and its socket.
struct Timeout<'a> {
    socket: &'a Socket,
    cause: Cause,
    errno: Errno,
    unanswered: u32,
    retransmits: u32,
}

impl Timeout<'_> {
    /// Appends `3/3 probes unanswered, peer silent 5 s → ETIMEDOUT (keepalive)`, or a shorter form.
    fn write_sentence(&self, to: &mut String, brevity: Brevity) -> fmt::Result {
        let start = to.len();
        self.write_attempts(to, brevity)?;
        let lead = match (to.len() > start, brevity) {
            (false, _) => "peer silent ",
            (true, Brevity::Full) => ", peer silent ",
            (true, Brevity::Concise) => ", silent ",
            (true, _) => ", ",
        };
        write_silence(to, self.socket, lead)?;
        if to.len() > start {
            to.write_str(" ")?;
        }
        write!(to, "→ {} ({}", self.errno, self.cause.name())?;
        if self.cause == Cause::UserTimeout && brevity == Brevity::Full {
            let limit = self.socket.settings.user_timeout_ms;
            write!(to, " {}", Millis(limit.into()))?;
        }
        to.write_str(")")
    }

    /// Appends what went unanswered; nothing where the kernel does not count that.
    fn write_attempts(&self, to: &mut String, brevity: Brevity) -> fmt::Result {
        let probes = if brevity == Brevity::Full {
            " probes"
        } else {
            ""
        };
        let (unanswered, retransmits) = (self.unanswered, self.retransmits);
        // The first SYN or SYN-ACK is no retransmission, and it went unanswered too.
        let handshake = u64::from(retransmits) + 1;
        match self.cause {
            Cause::Keepalive => {
                write_of_limit(to, unanswered, self.socket)?;
                write!(to, "{probes} unanswered")
            }
            Cause::UserTimeout if unanswered > 0 => write!(to, "{unanswered}{probes} unanswered"),
            Cause::ZeroWindow => to.write_str("window stayed closed"),
            Cause::Connect => write!(to, "{handshake} SYNs unanswered"),
            Cause::Accept => write!(to, "{handshake} SYN-ACKs unanswered"),
            Cause::UserTimeout | Cause::Other if retransmits == 0 => Ok(()),
            Cause::UserTimeout | Cause::Retransmit | Cause::Other => {
                write!(to, "{retransmits} retransmits")
            }
        }
    }

    /// Appends `keepalive 3/3, silent 5 s → ETIMEDOUT`, or a shorter form.
    fn write_cause(&self, to: &mut String, brevity: Brevity) -> fmt::Result {
        to.write_str(self.cause.name())?;
        if brevity < Brevity::CauseAlone {
            match self.cause {
                Cause::Keepalive => {
                    to.write_str(" ")?;
                    write_of_limit(to, self.unanswered, self.socket)?;
                }
                Cause::Retransmit | Cause::Connect | Cause::Accept => {
                    write!(to, " ×{}", self.retransmits)?;
                }
                Cause::UserTimeout | Cause::ZeroWindow | Cause::Other => (),
            }
            let lead = if brevity == Brevity::Cause {
                ", silent "
            } else {
                ", "
            };
            write_silence(to, self.socket, lead)?;
        }
        write!(to, " → {}", self.errno)
    }
}

/// Appends `2/3`, or `2` alone where the limit does not decide: TCP_USER_TIMEOUT is set and replaces
/// it, or the limit was lowered meanwhile.
fn write_of_limit(to: &mut String, probes: u32, socket: &Socket) -> fmt::Result {
    let limit = socket.settings.keepcnt;
    if socket.settings.user_timeout_ms == 0 && probes <= limit {
        write!(to, "{probes}/{limit}")
    } else {
        write!(to, "{probes}")
    }
}

/// Appends `lead` and the time since the peer was last heard; nothing if it never was.
fn write_silence(to: &mut String, socket: &Socket, lead: &str) -> fmt::Result {
    match socket.silence_ms {
        Some(ms) => write!(to, "{lead}{}", Millis(ms)),
        None => Ok(()),
    }
}
