//! The kinds of event: what each one carries, and one table of everything else that differs between
//! them.
//!
//! To add a kind, add a variant to [`Kind`] and a row to the table below. The compiler then names
//! each place that must know it; CONTRIBUTING.md has the list.

use anstyle::AnsiColor;
use keepalive_ebpf::wire;

use super::owner::Process;

/// What differs between kinds of event, apart from the fields that they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The `event` field of JSON and CSV, the EVENT column of the table, and the word for `-e`.
    pub word: &'static str,
    /// The number of this kind in a record of the ring. In the kernel half's settings, the bit
    /// `1 << wire` asks for it.
    pub wire: u16,
    /// The key of its count in the `summary` record, and the noun in the summary for people.
    pub count_word: &'static str,
    /// Its position in the first line of the summary for people; `None` = not in that line.
    pub summary_position: Option<u8>,
    /// The title and the width of its column in the summary's list of processes.
    pub summary_column: Option<(&'static str, usize)>,
    /// The colour of its word on a terminal; `None` = the terminal's own.
    pub colour: Option<AnsiColor>,
    /// It is printed where no `-e` is given.
    pub is_default: bool,
    /// The connection ends with it.
    pub is_death: bool,
    /// It tells what became of a death, so the kernel half must report deaths too.
    pub needs_deaths: bool,
}

/// Defines [`EventKind`] and its table at once, so that no list of kinds can miss one.
macro_rules! event_kinds {
    ($($(#[$doc:meta])* $kind:ident: $facts:expr,)*) => {
        /// A kind of event, without the fields of one event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind {
            $($(#[$doc])* $kind,)*
        }

        impl EventKind {
            /// Every kind, in the order of docs/events.md. A kind stands at the index `kind as usize`.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The row of the table for this kind.
            pub const fn facts(self) -> &'static Facts {
                match self {
                    $(Self::$kind => &$facts,)*
                }
            }
        }
    };
}

event_kinds! {
    /// A keepalive probe was sent (`tcp_keepalive_timer`, net/ipv4/tcp_timer.c).
    Probe: Facts {
        word: "probe",
        wire: wire::kind::PROBE,
        count_word: "probes",
        summary_position: Some(0),
        summary_column: Some(("PROBES", 9)),
        colour: None,
        is_default: true,
        is_death: false,
        needs_deaths: false,
    },
    /// The peer was heard again after probes had gone unanswered.
    Answered: Facts {
        word: "answered",
        wire: wire::kind::ANSWERED,
        count_word: "answered",
        summary_position: Some(4),
        summary_column: None,
        colour: Some(AnsiColor::Green),
        is_default: true,
        is_death: false,
        needs_deaths: false,
    },
    /// Keepalive was due while data was unacknowledged, so the kernel sent no probe.
    Stalled: Facts {
        word: "stalled",
        wire: wire::kind::STALLED,
        count_word: "stalled",
        summary_position: Some(3),
        summary_column: Some(("STALLED", 7)),
        colour: Some(AnsiColor::Yellow),
        is_default: true,
        is_death: false,
        needs_deaths: false,
    },
    /// The kernel gave the connection up (`tcp_write_err`, net/ipv4/tcp_timer.c).
    Timeout: Facts {
        word: "timeout",
        wire: wire::kind::TIMEOUT,
        count_word: "timeouts",
        summary_position: Some(1),
        // The last column lists them by cause.
        summary_column: None,
        colour: Some(AnsiColor::Red),
        is_default: true,
        is_death: true,
        needs_deaths: false,
    },
    /// The peer sent RST (`tcp_reset`, net/ipv4/tcp_input.c).
    Reset: Facts {
        word: "reset",
        wire: wire::kind::RESET,
        count_word: "resets",
        summary_position: Some(2),
        summary_column: Some(("RESETS", 7)),
        colour: Some(AnsiColor::Magenta),
        is_default: true,
        is_death: true,
        needs_deaths: false,
    },
    /// A process received the error of a dead connection.
    Noticed: Facts {
        word: "noticed",
        wire: wire::kind::NOTICED,
        count_word: "noticed",
        // A line of its own says how many errors were received.
        summary_position: None,
        summary_column: None,
        colour: Some(AnsiColor::Cyan),
        is_default: true,
        is_death: false,
        needs_deaths: true,
    },
}

impl EventKind {
    /// The word of this kind, as in [`Facts::word`].
    pub const fn name(self) -> &'static str {
        self.facts().word
    }
}

/// What happened, with the fields of that kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// See [`EventKind::Probe`].
    Probe {
        /// Which unanswered probe this is; 1 = the first.
        probe: u32,
        /// The probe was handed to the IP layer.
        sent: bool,
    },
    /// See [`EventKind::Answered`].
    Answered {
        /// Probes that had gone unanswered, ≥ 1.
        unanswered: u32,
        /// Milliseconds from the last probe to its answer. `None` when more than the answer arrived
        /// since the probe, so that no round trip is known.
        rtt_ms: Option<f64>,
    },
    /// See [`EventKind::Stalled`].
    Stalled {
        /// Bytes that the peer has not acknowledged.
        unacked_bytes: u32,
        /// How often the oldest of them was sent again.
        retransmits: u32,
    },
    /// See [`EventKind::Timeout`].
    Timeout {
        /// Why the kernel gave the connection up.
        cause: Cause,
        /// The error that the socket ends with.
        errno: Errno,
        /// Probes that had gone unanswered.
        unanswered: u32,
        /// How often the oldest unacknowledged bytes were sent again.
        retransmits: u32,
    },
    /// See [`EventKind::Reset`].
    Reset {
        /// The error that the socket ends with.
        errno: Errno,
        /// A probe was unanswered when the RST came.
        after_probe: bool,
    },
    /// See [`EventKind::Noticed`].
    Noticed {
        /// The error that the process received.
        errno: Errno,
        /// The call that returned it; `None` where the kernel does not show which call it was.
        call: Option<Call>,
        /// The process that received it.
        process: Process,
        /// The thread that received it, in the host's pid namespace.
        tid: u32,
        /// Milliseconds since the connection died.
        delay_ms: f64,
    },
}

impl Kind {
    /// The kind alone, which is the key into the table of facts.
    pub const fn event_kind(&self) -> EventKind {
        match self {
            Self::Probe { .. } => EventKind::Probe,
            Self::Answered { .. } => EventKind::Answered,
            Self::Stalled { .. } => EventKind::Stalled,
            Self::Timeout { .. } => EventKind::Timeout,
            Self::Reset { .. } => EventKind::Reset,
            Self::Noticed { .. } => EventKind::Noticed,
        }
    }

    /// The word of this kind, as in [`Facts::word`].
    pub const fn name(&self) -> &'static str {
        self.event_kind().name()
    }

    /// The process that the event is about, where that is not the socket's owner.
    pub fn process(&self) -> Option<&Process> {
        match self {
            Self::Noticed { process, .. } => Some(process),
            Self::Probe { .. }
            | Self::Answered { .. }
            | Self::Stalled { .. }
            | Self::Timeout { .. }
            | Self::Reset { .. } => None,
        }
    }

    /// The error that the connection ends with; `None` where it does not end with this event.
    pub const fn death(&self) -> Option<Errno> {
        match self {
            Self::Timeout { errno, .. } | Self::Reset { errno, .. } => Some(*errno),
            Self::Probe { .. }
            | Self::Answered { .. }
            | Self::Stalled { .. }
            | Self::Noticed { .. } => None,
        }
    }

    /// Gives each field of this kind to `take`: its name in JSON and CSV, and its value. JSON keeps
    /// this order. CSV has a column for each name in [`Self::COLUMNS`].
    ///
    /// # Errors
    ///
    /// The first error that `take` returns; the fields after it are not given.
    pub fn each_field<E>(
        &self,
        mut take: impl FnMut(&'static str, Value) -> Result<(), E>,
    ) -> Result<(), E> {
        match *self {
            Self::Probe { probe, sent } => {
                take("probe", Value::Count(probe.into()))?;
                take("sent", Value::Flag(sent))
            }
            Self::Answered { unanswered, rtt_ms } => {
                take("unanswered", Value::Count(unanswered.into()))?;
                take("rtt_ms", rtt_ms.map_or(Value::Unknown, Value::millis))
            }
            Self::Stalled {
                unacked_bytes,
                retransmits,
            } => {
                take("unacked_bytes", Value::Count(unacked_bytes.into()))?;
                take("retransmits", Value::Count(retransmits.into()))
            }
            Self::Timeout {
                cause,
                errno,
                unanswered,
                retransmits,
            } => {
                take("cause", Value::Word(cause.name()))?;
                take("errno", Value::Error(errno))?;
                take("unanswered", Value::Count(unanswered.into()))?;
                take("retransmits", Value::Count(retransmits.into()))
            }
            Self::Reset { errno, after_probe } => {
                take("errno", Value::Error(errno))?;
                take("after_probe", Value::Flag(after_probe))
            }
            Self::Noticed {
                errno,
                call,
                tid,
                delay_ms,
                // It is named in the fields of the owner.
                process: _,
            } => {
                take("errno", Value::Error(errno))?;
                let call = call.map(Call::name);
                take("call", call.map_or(Value::Unknown, Value::Word))?;
                take("tid", Value::Count(tid.into()))?;
                take("delay_ms", Value::millis(delay_ms))
            }
        }
    }

    /// The fields of all kinds in the order of CSV's columns. New ones go to the end, so that
    /// scripts find the others where they were. `count` is the field of a `lost` record.
    pub const COLUMNS: [&'static str; 13] = [
        "probe",
        "sent",
        "unanswered",
        "rtt_ms",
        "unacked_bytes",
        "retransmits",
        "cause",
        "errno",
        "after_probe",
        "count",
        "call",
        "tid",
        "delay_ms",
    ];
}

/// The value of one field of a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A number of things.
    Count(u64),
    /// Milliseconds, rounded to the microsecond, because the kernel's clocks are no more exact.
    Millis(f64),
    /// Yes or no.
    Flag(bool),
    /// A word of the contract.
    Word(&'static str),
    /// An error, by its symbol.
    Error(Errno),
    /// The field exists and its value is not known.
    Unknown,
}

impl Value {
    fn millis(ms: f64) -> Self {
        Self::Millis((ms * 1e3).round() / 1e3)
    }
}

/// The call that received an error. read counts as recv; write counts as send, and so does sendfile
/// since Linux 6.5, where it goes through the same function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// recv, recvfrom, recvmsg or read.
    Recv,
    /// send, sendto, sendmsg or write.
    Send,
    /// connect.
    Connect,
    /// getsockopt with `SO_ERROR`.
    Getsockopt,
    /// splice from the socket.
    Splice,
    /// sendfile.
    Sendfile,
}

/// Why a connection timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// As many probes as TCP_KEEPCNT allows went unanswered.
    Keepalive,
    /// TCP_USER_TIMEOUT passed.
    UserTimeout,
    /// Data was sent again until the kernel's limit.
    Retransmit,
    /// The peer's window stayed closed and its window probes went unanswered.
    ZeroWindow,
    /// No SYN was answered.
    Connect,
    /// No SYN-ACK was answered.
    Accept,
    /// None of these could be shown.
    Other,
}

/// A positive errno number; [`Errno::name`] gives the symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub i32);
