//! The TCP sockets of this host at one moment, with the settings that act on each.
//!
//! The types here stand between the readers of sockets and the rooms that show or judge sockets. The names and
//! meanings of the fields are those of docs/sockets.md.

mod diag;
mod iter;
mod iter_gap;
pub(crate) mod namespaces;
mod raw_socket;
mod reader;
mod rows;
mod sort;
pub(crate) mod timeouts;

use std::{net::IpAddr, sync::Arc};

pub use reader::{Reader, Visitor};
pub use sort::sort;

use crate::event::{Family, Owner, State};

/// Everything that one reading found.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The sockets, in the order in which they were read.
    pub rows: Vec<Row>,
    /// The settings of every namespace that was read, whether it has rows or not.
    pub namespaces: Vec<Namespace>,
}

impl Visitor for Snapshot {
    fn row(&mut self, row: Row) -> bool {
        self.rows.push(row);
        true
    }

    fn namespace(&mut self, namespace: &Namespace) {
        self.namespaces.push(*namespace);
    }
}

/// One TCP socket. Connection requests (SYN_RECV before accept) and TIME_WAIT sockets are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The address family; an IPv4 connection of an IPv6 socket is IPv4.
    pub family: Family,
    /// This host's address.
    pub laddr: IpAddr,
    /// This host's port.
    pub lport: u16,
    /// The peer's address; unspecified for a listener.
    pub raddr: IpAddr,
    /// The peer's port; 0 for a listener.
    pub rport: u16,
    /// The TCP state.
    pub state: State,
    /// Inode of the network namespace.
    pub netns: u32,
    /// Inode in sockfs; `None` once no file refers to the socket.
    pub inode: Option<u64>,
    /// The processes that hold it.
    pub owner: Arc<Owner>,
    /// `SO_KEEPALIVE`. This and the four settings below are `None` where the reader cannot know them:
    /// sock_diag tells none of them, and `getsockopt` needs a process that holds the socket.
    pub keepalive: Option<bool>,
    /// Idle time before the first probe, in milliseconds (`TCP_KEEPIDLE`).
    pub keepidle_ms: Option<Setting<u64>>,
    /// Time between probes, in milliseconds (`TCP_KEEPINTVL`).
    pub keepintvl_ms: Option<Setting<u64>>,
    /// Unanswered probes that end the connection (`TCP_KEEPCNT`).
    pub keepcnt: Option<Setting<u32>>,
    /// `TCP_USER_TIMEOUT`, in milliseconds; 0 = unset.
    pub user_timeout_ms: Option<Setting<u32>>,
    /// Milliseconds until the next keepalive probe, if the peer stays silent. `None` when no probe is to come, or
    /// when sock_diag shows another timer of the socket instead.
    pub next_probe_ms: Option<u64>,
    /// Probes that the peer has not answered (`icsk_probes_out`).
    pub unanswered: u32,
    /// Milliseconds since the peer was last heard; `None` if it was never heard.
    pub silence_ms: Option<u64>,
    /// Bytes written by the application and not acknowledged by the peer, sent or not.
    pub unacked_bytes: u32,
    /// The retransmission timeout at this moment, in milliseconds; 0 before there is one.
    pub rto_ms: u32,
    /// Milliseconds until a dead peer is noticed while the connection is idle; `None` = never.
    pub detect_idle_ms: Option<u64>,
    /// Milliseconds until a dead peer is noticed once data is in flight; `None` = never.
    pub detect_data_ms: Option<u64>,
}

/// A value that acts on a socket, and who set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// In the unit that the field's name says.
    pub value: T,
    /// Who set it.
    pub from: Origin,
}

/// Where a [`Setting`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `setsockopt` on this socket.
    Socket,
    /// The namespace's sysctl, which somebody changed.
    Netns,
    /// Nobody set it: the kernel's own default.
    Default,
}

/// What a network namespace gives its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Inode of the namespace.
    pub netns: u32,
    /// `net.ipv4.tcp_keepalive_time`, in milliseconds.
    pub keepidle_ms: u64,
    /// `net.ipv4.tcp_keepalive_intvl`, in milliseconds.
    pub keepintvl_ms: u64,
    /// `net.ipv4.tcp_keepalive_probes`.
    pub keepcnt: u32,
    /// `net.ipv4.tcp_retries2`.
    pub retries2: u32,
    /// The namespace that katrace itself runs in.
    pub own: bool,
}
