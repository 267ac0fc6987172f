//! What katrace tells its users: the domain types between `decode`, `enrich` and `sinks`.
//!
//! Names and meanings are those of the contract (docs/events.md). Wire integers end in `decode`;
//! nothing here knows how a record was laid out.

use std::{net::IpAddr, sync::Arc};

/// Nanoseconds since the Unix epoch, UTC: the moment in the kernel, not of printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i128);

/// One event of one TCP socket.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketEvent {
    pub time: Time,
    pub socket: Socket,
    /// Shared by all events of the socket until descriptors are read again.
    pub owner: Arc<Owner>,
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
    pub comm: Arc<str>,
    /// `None` when it was gone before more could be read.
    pub details: Option<Arc<Details>>,
}

/// What /proc tells of a process beyond its name. Texts are lossily decoded and not safe for a
/// terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub ppid: u32,
    /// The effective user.
    pub uid: u32,
    /// `None` where the kernel does not say: another user's process, or a removed binary's path.
    pub exe: Option<String>,
    /// Arguments joined by spaces, cut at [`Details::CMDLINE_MAX`] bytes.
    pub cmdline: Option<String>,
    pub place: Option<Place>,
}

impl Details {
    /// Bytes of a command line that are kept.
    pub const CMDLINE_MAX: usize = 256;
}

/// What the cgroup of a process says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The cgroup2 path, or the cgroup1 path that tells more. At most PATH_MAX bytes, lossily
    /// decoded; not safe for a terminal.
    pub path: String,
    /// The innermost container.
    pub container: Option<Container>,
    /// The uid of the innermost Kubernetes pod, with dashes; a static pod's is a hash without any.
    pub pod: Option<String>,
    /// The innermost systemd unit, as systemd spells it: `nginx.service`, `session-3.scope`. A user's
    /// unit comes before the manager that runs it. Slices hold units and are none.
    pub unit: Option<String>,
}

/// A container by the name that its runtime gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits in most cases. LXC and systemd-nspawn know their machines by name.
    pub id: String,
    /// `None` where the path does not tell, and for those that are none of [`Runtime`].
    pub runtime: Option<Runtime>,
}

/// Who made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Docker,
    Containerd,
    CriO,
    Podman,
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
    /// It descends from a process that held the socket when it began.
    Inherited,
    /// It was given the descriptor by another process.
    Passed,
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
    /// A process received the error of a dead connection.
    Noticed {
        errno: Errno,
        call: Call,
        process: Process,
        tid: u32,
        /// Since the death.
        delay_ms: f64,
    },
}

/// The call that received an error, as far as the hook that saw it can tell: read counts as recv,
/// write and on kernels since 6.5 sendfile as send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Recv,
    Send,
    Connect,
    Getsockopt,
    Splice,
    Sendfile,
}

impl Kind {
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
}

impl SocketEvent {
    /// The process to name: who received the error, else who holds the socket.
    pub fn process(&self) -> Option<&Process> {
        self.kind.process().or(self.owner.process.as_ref())
    }
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
    pub passed: Option<String>,
    pub process: Option<String>,
    pub noticed: Option<String>,
    /// How all descriptors are read.
    pub holders: Option<String>,
}

/// Records the kernel half could not deliver since the last such line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub time: Time,
    pub count: u64,
}
