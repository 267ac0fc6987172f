//! The TCP sockets of this host at one moment, with the settings that act on each.
//!
//! The domain types between the readers of sockets and the rooms that show or judge them. Names and
//! meanings are the contract's.

pub(crate) mod detect;
mod diag;
mod facts;
mod first;
mod iter;
pub(crate) mod namespaces;
mod reader;
mod rows;
mod sort;

use std::{net::IpAddr, sync::Arc};

pub use reader::{Reader, Visitor};
pub use sort::sort;

use crate::event::{Family, Owner, State};

impl Visitor for Snapshot {
    fn row(&mut self, row: Row) -> bool {
        self.rows.push(row);
        true
    }

    fn namespace(&mut self, namespace: &Namespace) {
        self.namespaces.push(*namespace);
    }
}

/// Everything that one reading found.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub rows: Vec<Row>,
    /// The settings of every namespace that a row is in.
    pub namespaces: Vec<Namespace>,
}

/// One TCP socket. Requests that were not accepted yet and time-wait leftovers are none.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub family: Family,
    /// This host's end.
    pub laddr: IpAddr,
    pub lport: u16,
    /// The peer's end; unspecified and 0 for a listener.
    pub raddr: IpAddr,
    pub rport: u16,
    pub state: State,
    /// Inode of the network namespace.
    pub netns: u32,
    /// Inode in sockfs; `None` once no file refers to it.
    pub inode: Option<u64>,
    pub owner: Arc<Owner>,
    /// `SO_KEEPALIVE`. This and the four settings are `None` where the reader cannot know them:
    /// sock_diag tells none of them, and `getsockopt` needs a process that holds the socket.
    pub keepalive: Option<bool>,
    pub keepidle_ms: Option<Setting<u64>>,
    pub keepintvl_ms: Option<Setting<u64>>,
    pub keepcnt: Option<Setting<u32>>,
    /// 0 = unset.
    pub user_timeout_ms: Option<Setting<u32>>,
    /// Until the next keepalive probe, if the peer stays silent; `None` when none is to come, or
    /// when sock_diag shows another timer in its place.
    pub next_probe_ms: Option<u64>,
    /// Probes unanswered.
    pub unanswered: u32,
    /// Since the peer was last heard; `None` if it never was.
    pub silence_ms: Option<u64>,
    /// Sent and not acknowledged, and written and not sent, together.
    pub unacked_bytes: u32,
    /// The retransmission timeout as it stands; 0 before there is one.
    pub rto_ms: u32,
    /// Until a dead peer is noticed while the connection is idle; `None` = never.
    pub detect_idle_ms: Option<u64>,
    /// Until a dead peer is noticed once data is in flight; `None` = never.
    pub detect_data_ms: Option<u64>,
}

/// A value that acts on a socket, and who set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub from: Origin,
}

/// Where a [`Setting`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `setsockopt` on this socket.
    Socket,
    /// The namespace's sysctl, which somebody changed.
    Netns,
    /// Nobody set it: the kernel's own value.
    Default,
}

/// What a network namespace gives its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    pub netns: u32,
    pub keepidle_ms: u64,
    pub keepintvl_ms: u64,
    pub keepcnt: u32,
    /// `net.ipv4.tcp_retries2`.
    pub retries2: u32,
    /// The namespace that katrace itself runs in.
    pub own: bool,
}
