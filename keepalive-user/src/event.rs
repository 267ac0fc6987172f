//! What katrace tells its users: the domain types between `decode`, `enrich` and `sinks`.
//!
//! Names and meanings are those of the contract (docs/events.md). Wire integers end in `decode`;
//! nothing here knows how a record was laid out.

use std::net::IpAddr;

/// Nanoseconds since the Unix epoch, UTC: the moment in the kernel, not of printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i128);

/// One event of one TCP socket.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketEvent {
    pub time: Time,
    pub socket: Socket,
    /// Shared by all events of the socket until descriptors are read again.
    pub owner: std::sync::Arc<Owner>,
    pub kind: Kind,
}

/// The socket as it stood at the event.
#[derive(Clone, Debug, PartialEq)]
pub struct Socket {
    pub family: Family,
    /// This host's end.
    pub laddr: IpAddr,
    pub lport: u16,
    /// The peer's end.
    pub raddr: IpAddr,
    pub rport: u16,
    /// State before the event.
    pub state: State,
    /// Inode of the network namespace (`net:[…]`).
    pub netns: u32,
    /// Inode in sockfs; `None` if the socket never had one (not yet accepted).
    pub inode: Option<u64>,
    pub settings: Settings,
    /// Milliseconds since the peer was last heard; `None` if it never was.
    pub silence_ms: Option<u64>,
}

/// Effective keepalive settings, the namespace's defaults resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub keepidle_ms: u64,
    pub keepintvl_ms: u64,
    pub keepcnt: u32,
    /// 0 = unset.
    pub user_timeout_ms: u32,
}

/// As on the wire: a v4-mapped socket is `Ipv4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Ipv4,
    Ipv6,
}

/// The kernel's TCP states (include/net/tcp_states.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Established,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    NewSynRecv,
}

/// Who holds the socket, and by what evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The holder most likely to be using the socket; `None` if unknown.
    pub process: Option<Process>,
    /// Every holder known.
    pub holders: Vec<Holder>,
    pub from: Option<OwnerFrom>,
}

/// A process: thread group id in the host's pid namespace, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// As the kernel holds it: up to 15 bytes, any byte but NUL, lossily decoded. Not safe for a
    /// terminal.
    pub comm: std::sync::Arc<str>,
}

/// A process and the descriptor by which it holds the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub process: Process,
    /// `None` when the process is known but its descriptor is not.
    pub fd: Option<u32>,
}

/// Evidence for [`Owner::process`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerFrom {
    /// It called connect.
    Connect,
    /// It called accept.
    Accept,
    /// Its descriptor table shows the socket.
    Scan,
    /// No holder is left; this is the last one known.
    Last,
}

/// What happened, with the fields of that kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Probe {
        /// 1 = first unanswered.
        probe: u32,
        /// Handed to the IP layer.
        sent: bool,
    },
    Answered {
        /// Probes that had gone unanswered, ≥ 1.
        unanswered: u32,
        /// `None` when more than the answer arrived since the probe, so no round trip is known.
        rtt_ms: Option<f64>,
    },
    Stalled {
        unacked_bytes: u32,
        retransmits: u32,
    },
    Timeout {
        cause: Cause,
        errno: Errno,
        unanswered: u32,
        retransmits: u32,
    },
    Reset {
        errno: Errno,
        after_probe: bool,
    },
}

/// Why a connection timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    Keepalive,
    UserTimeout,
    Retransmit,
    ZeroWindow,
    Connect,
    Accept,
    Other,
}

/// A positive errno number; [`Errno::name`] gives the symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub i32);

/// First record: every hook is attached and the ring is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub time: Time,
    pub version: &'static str,
    /// `uname -r`.
    pub kernel: String,
    pub attach: Attach,
    /// Why this backend: what the ones tried before it answered, or that it was asked for.
    pub attach_reason: String,
    pub hooks: Hooks,
    /// What this kernel cannot show with this backend, a sentence each.
    pub missing: Vec<String>,
}

/// The way the keepalive timer is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    Fentry,
    Kprobe,
    Tracepoint,
}

/// Kernel functions or tracepoints behind each purpose; `None` = not watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    pub keepalive: Option<String>,
    pub death: Option<String>,
    pub reset: Option<String>,
    pub connect: Option<String>,
    pub accept: Option<String>,
    pub destroy: Option<String>,
}

/// Records the kernel half could not deliver since the last such line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub time: Time,
    pub count: u64,
}
