//! Orders to an actor and its answers, one JSON object on each line.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Keepalive settings of one socket, in the units of the socket options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    pub const fn new(idle_s: u32, intvl_s: u32, cnt: u32) -> Self {
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
        /// MPTCP: the process's socket has TCP sockets of its own.
        multipath: bool,
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
    /// Answers `Done`, then sleeps in the call and answers again when it has come back.
    Sleep {
        fd: i32,
        how: Wait,
    },
    /// Asks the socket for its options.
    Options {
        fd: i32,
    },
    Close {
        fd: i32,
    },
    /// Begins to connect and answers at once.
    BeginConnect {
        fd: i32,
        to: SocketAddr,
    },
    /// A copy of this process, which reads its orders from one path and answers to another.
    Fork {
        name: String,
        birth: Birth,
        orders: PathBuf,
        answers: PathBuf,
    },
    /// This program anew in the same process, under another name, with all its sockets.
    Exec {
        name: String,
    },
    /// Sends the socket (`SCM_RIGHTS`) to whoever receives at this abstract unix address.
    Pass {
        fd: i32,
        to: String,
    },
    /// Answers `Done` once it listens, then with the socket that came.
    Receive {
        at: String,
    },
    /// Makes the socket a fixed file of an io_uring and closes its descriptor.
    HoldInUring {
        fd: i32,
    },
    /// Copies a socket out of another process (`pidfd_getfd`).
    Take {
        pid: u32,
        fd: i32,
    },
    /// Opens `count` connections without keepalive, kept for [`Order::CrowdKeepalive`].
    Crowd {
        to: SocketAddr,
        count: usize,
    },
    /// Processes with so many sockets each, the first connected to this port, the next to the one
    /// after it.
    Many {
        to: SocketAddr,
        processes: u16,
        sockets: usize,
    },
    /// Switches `SO_KEEPALIVE` of all sockets of [`Order::Many`].
    ManyKeepalive {
        on: bool,
    },
    /// Switches keepalive of the whole crowd on with these settings, or off, the sockets spread
    /// evenly over this time.
    CrowdKeepalive {
        keepalive: Option<Keepalive>,
        over_ms: u64,
    },
}

/// The call in which a process learns that its connection has ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// Blocked in the call.
    Recv,
    Read,
    Splice,
    /// The same through io_uring.
    UringRecv,
    /// The call that follows once poll or epoll has reported something to read.
    Poll,
    Epoll,
    /// The call that follows once poll has reported an error.
    Send,
    Write,
    Sendfile,
    SoError,
    /// `recv`, so long after poll has reported the error.
    RecvAfter {
        ms: u64,
    },
}

/// What a new process does not share with its parent.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Birth {
    /// This pid, by `set_tid` of clone3.
    pub pid: Option<u32>,
    /// A pid and a mount namespace.
    pub apart: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    Socket(Opened),
    Done,
    /// What `getsockopt` answers; nothing is left out.
    Options(Keepalive),
    /// A system call failed as the scenario may expect.
    Errno {
        errno: i32,
    },
    /// The call that was slept in has come back, with this errno; 0 for none.
    Woken {
        errno: i32,
    },
    Forked {
        pid: u32,
    },
    Many {
        pids: Vec<u32>,
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
