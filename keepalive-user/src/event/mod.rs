//! What katrace shows its users: the types that `decode` makes, `enrich` completes and `sinks` print.
//!
//! Names and meanings are those of docs/events.md. The layout of a record in the ring is known to
//! `decode` alone; here are only the numbers of the kinds.

#[cfg(test)]
pub mod example;
mod kind;
mod owner;

use std::{net::IpAddr, sync::Arc};

pub use kind::{Call, Cause, Errno, EventKind, Facts, Kind, Value};
pub use owner::{Container, Details, Holder, Owner, OwnerFrom, Place, Process, Runtime};

/// Nanoseconds since the Unix epoch, UTC: when it happened in the kernel, not
/// when it was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i128);

/// One event of one TCP socket.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketEvent {
    /// When it happened.
    pub time: Time,
    /// The socket that it happened to.
    pub socket: Socket,
    /// Who holds the socket. All events of the socket share it until descriptors are read again.
    pub owner: Arc<Owner>,
    /// What happened.
    pub kind: Kind,
}

/// The socket as it was when the event happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Socket {
    /// The protocol of its packets.
    pub family: Family,
    /// This host's address.
    pub laddr: IpAddr,
    /// This host's port.
    pub lport: u16,
    /// The peer's address.
    pub raddr: IpAddr,
    /// The peer's port.
    pub rport: u16,
    /// The TCP state before the event.
    pub state: State,
    /// Inode of the network namespace (`net:[…]`).
    pub netns: u32,
    /// Inode in sockfs. `None` if the socket never had one: nobody has accepted the connection yet.
    pub inode: Option<u64>,
    /// The settings that act on it.
    pub settings: Settings,
    /// Milliseconds since the peer was last heard; `None` if it never was.
    pub silence_ms: Option<u64>,
}

/// The keepalive settings that act on a socket: its own, or its namespace's where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// TCP_KEEPIDLE in milliseconds: silence before the first probe.
    pub keepidle_ms: u64,
    /// TCP_KEEPINTVL in milliseconds: from one probe to the next.
    pub keepintvl_ms: u64,
    /// TCP_KEEPCNT: probes that may go unanswered.
    pub keepcnt: u32,
    /// TCP_USER_TIMEOUT in milliseconds; 0 = unset.
    pub user_timeout_ms: u32,
}

/// The protocol of a socket's packets. An `AF_INET6` socket with v4-mapped addresses is `Ipv4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// The kernel's TCP states (include/net/tcp_states.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `TCP_ESTABLISHED`
    Established,
    /// `TCP_SYN_SENT`
    SynSent,
    /// `TCP_SYN_RECV`
    SynRecv,
    /// `TCP_FIN_WAIT1`
    FinWait1,
    /// `TCP_FIN_WAIT2`
    FinWait2,
    /// `TCP_TIME_WAIT`
    TimeWait,
    /// `TCP_CLOSE`
    Close,
    /// `TCP_CLOSE_WAIT`
    CloseWait,
    /// `TCP_LAST_ACK`
    LastAck,
    /// `TCP_LISTEN`
    Listen,
    /// `TCP_CLOSING`
    Closing,
    /// `TCP_NEW_SYN_RECV`
    NewSynRecv,
}

impl SocketEvent {
    /// The process to print: the one that received the error, or else the one that holds the socket.
    pub fn process(&self) -> Option<&Process> {
        self.kind.process().or(self.owner.process.as_ref())
    }
}

/// The first record of a trace: every hook is attached and the ring is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// When the last hook was attached.
    pub time: Time,
    /// The version of katrace.
    pub version: &'static str,
    /// `uname -r`.
    pub kernel: String,
    /// The backend in use.
    pub attach: Attach,
    /// Why this backend: the errors of the backends tried before it, or that it was asked for.
    pub attach_reason: String,
    /// What is watched.
    pub hooks: Hooks,
    /// What this kernel cannot show with this backend, one sentence each.
    pub missing: Vec<String>,
}

/// The backend: how katrace attaches to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// BPF trampolines on kernel functions (fentry and fexit).
    Fentry,
    /// kprobes on kernel functions.
    Kprobe,
    /// Tracepoints only.
    Tracepoint,
}

/// The kernel function or tracepoint that serves each purpose; `None` = nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Probes, answers and stalls: the keepalive timer.
    pub keepalive: Option<String>,
    /// Connections that the kernel gives up.
    pub death: Option<String>,
    /// RSTs received.
    pub reset: Option<String>,
    /// Which process connects.
    pub connect: Option<String>,
    /// Which process accepts.
    pub accept: Option<String>,
    /// Which process closes the last descriptor.
    pub destroy: Option<String>,
    /// Which process receives a descriptor from another.
    pub passed: Option<String>,
    /// Forks, new names and exits of processes.
    pub process: Option<String>,
    /// Errors that processes receive.
    pub noticed: Option<String>,
    /// How the descriptors of all processes are read.
    pub holders: Option<String>,
}

/// Records that the kernel half could not deliver since the last line of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// When katrace learned of it.
    pub time: Time,
    /// How many records.
    pub count: u64,
}
