//! What the laboratory tells an actor to do and what it hears back, one JSON object a line.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Keepalive settings of one socket, in the units of the socket options.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Keepalive {
    /// `SO_KEEPALIVE`.
    pub on: bool,
    pub idle_s: Option<u32>,
    pub intvl_s: Option<u32>,
    pub cnt: Option<u32>,
    pub user_timeout_ms: Option<u32>,
}

impl Keepalive {
    /// `SO_KEEPALIVE` with idle, interval and count, the notation `2/1/3` of the scenario list.
    pub fn new(idle_s: u32, intvl_s: u32, cnt: u32) -> Self {
        Self {
            on: true,
            idle_s: Some(idle_s),
            intvl_s: Some(intvl_s),
            cnt: Some(cnt),
            user_timeout_ms: None,
        }
    }

    /// `SO_KEEPALIVE` alone: everything else comes from the namespace.
    pub fn plain() -> Self {
        Self {
            on: true,
            ..Self::default()
        }
    }

    pub fn user_timeout(self, ms: u32) -> Self {
        Self {
            user_timeout_ms: Some(ms),
            ..self
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Order {
    /// A new socket, bound when `from` is given.
    Socket {
        v6: bool,
        from: Option<SocketAddr>,
        keepalive: Option<Keepalive>,
    },
    /// Answers once connected, or with the errno of the failure.
    Connect {
        fd: i32,
        to: SocketAddr,
    },
    Listen {
        at: SocketAddr,
    },
    Accept {
        fd: i32,
        keepalive: Option<Keepalive>,
    },
    Set {
        fd: i32,
        keepalive: Keepalive,
    },
    Write {
        fd: i32,
        bytes: usize,
    },
    /// Reads one byte.
    Read {
        fd: i32,
    },
    /// Writes until the peer's window is shut, all that was sent is acknowledged and more waits.
    Fill {
        fd: i32,
    },
    /// Answers `Done`, then sleeps in the call and answers again with its errno.
    Sleep {
        fd: i32,
        how: Wait,
    },
    Close {
        fd: i32,
    },
    /// Opens `count` connections without keepalive, kept for [`Order::CrowdKeepalive`].
    Crowd {
        to: SocketAddr,
        count: usize,
    },
    /// Switches keepalive of the whole crowd on with these settings, or off, the sockets spread
    /// evenly over this time.
    CrowdKeepalive {
        keepalive: Option<Keepalive>,
        over_ms: u64,
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    Recv,
    Poll,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    Socket(Opened),
    Done,
    /// A system call failed as the scenario may expect.
    Errno {
        errno: i32,
    },
    /// The order could not be carried out at all.
    Failed {
        why: String,
    },
}

/// One socket as its owner sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Opened {
    pub fd: i32,
    pub inode: u64,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
}
