//! What a message of the ring becomes, or why it becomes nothing.

use keepalive_ebpf::wire::{COMM_LEN, STACK_DEPTH};

use crate::event::{Kind, Socket, Time};

/// What one message of the ring says.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event of a socket.
    Event(Decoded),
    /// A process received an error.
    Received(Received),
    /// A change that matters to whoever remembers the owners of sockets.
    Notice(Notice),
}

/// A process received the error of a dead connection. The death was told before.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// When it received the error.
    pub time: Time,
    /// Inode number of the socket.
    pub inode: u64,
    /// [`Kind::Noticed`]. Its errno is 0 if the kernel half knows only the stack: then it is the errno
    /// of the death.
    pub kind: Kind,
    /// Return addresses in the kernel, the innermost first, padded with zeros.
    pub stack: [u64; STACK_DEPTH],
}

/// One event as the kernel half told it. Who holds the socket now is not known here.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// When it happened.
    pub time: Time,
    /// The same moment: `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic_ns: u64,
    /// The socket at that moment.
    pub socket: Socket,
    /// What happened.
    pub kind: Kind,
    /// No file refers to the socket any more.
    pub orphan: bool,
    /// The process that was seen acting on the socket, if one was.
    pub evidence: Option<Evidence>,
    /// References to its file: its descriptors, and calls that are running.
    pub refs: u32,
    /// Thread group id that used it last. Known only if there is more than one reference.
    pub user: Option<u32>,
}

/// A change that matters to whoever remembers the owners of sockets. Processes are told by their thread
/// group ids in the initial pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A process started another.
    Forked {
        /// The process that started it.
        parent: u32,
        /// The process that was started.
        child: u32,
    },
    /// A process changed its name, mostly by exec.
    Renamed {
        /// The process.
        pid: u32,
    },
    /// A process ended.
    Exited {
        /// The process.
        pid: u32,
    },
    /// A socket is gone.
    Ended {
        /// Its inode number.
        inode: u64,
    },
}

/// A process that the kernel half saw acting on the socket, in the process's own context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// Its start: `CLOCK_BOOTTIME`, nanoseconds. Together with the pid this is an identity.
    pub start_ns: u64,
    /// When it acted: `CLOCK_BOOTTIME`, nanoseconds.
    pub since_ns: u64,
    /// Its name at that moment, NUL-padded.
    pub comm: [u8; COMM_LEN],
    /// What it did.
    pub act: Act,
}

/// What a process did to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It called connect.
    Connect,
    /// It called accept.
    Accept,
    /// It dropped the last reference.
    Close,
    /// It received the descriptor from another process.
    Receive,
}

/// Why bytes are no message. Such bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A message of this kind has another length.
    #[error("{0} bytes are no record")]
    Length(usize),
    /// The message states another size than it has.
    #[error("the record says it has {0} bytes")]
    Size(u16),
    /// No kind has this number.
    #[error("kind {0} is unknown")]
    Kind(u16),
    /// It is neither `AF_INET` nor `AF_INET6`.
    #[error("address family {0} is unknown")]
    Family(u8),
    /// No TCP state has this number.
    #[error("TCP state {0} is unknown")]
    State(u8),
    /// [`Act`] has nothing for this number.
    #[error("evidence {0} is unknown")]
    Evidence(u8),
    /// The peer answered, but no probe was unanswered.
    #[error("an answer to no probe")]
    NoProbe,
    /// [`Call`] has nothing for this number.
    #[error("call {0} is unknown")]
    Call(u8),
}
