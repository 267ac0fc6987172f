//! What travels through the ring: one record of fixed size for every kind of event, a shorter one for
//! errors received, and notices of what changes who holds a socket.

/// Kinds of [`Record::kind`]. Zero is no kind, so that zeroed memory never decodes.
pub mod kind {
    /// A keepalive probe was built.
    pub const PROBE: u16 = 1;
    /// The peer was heard again after probes had gone unanswered.
    pub const ANSWERED: u16 = 2;
    /// Keepalive was due while data was unacknowledged, so no probe went out.
    pub const STALLED: u16 = 3;
    /// The kernel gave the connection up (`tcp_write_err`).
    pub const TIMEOUT: u16 = 4;
    /// The peer sent RST (`tcp_reset`).
    pub const RESET: u16 = 5;
    /// A process received the error of a dead connection; a [`super::Noticed`].
    pub const NOTICED: u16 = 6;
    /// A process that holds sockets began another; this and what follows are a [`super::Notice`].
    pub const FORKED: u16 = 7;
    /// A process changed its name, mostly by exec.
    pub const RENAMED: u16 = 8;
    /// A process ended.
    pub const EXITED: u16 = 9;
    /// A socket of which there were events is gone.
    pub const ENDED: u16 = 10;
}

/// Values of [`Record::owner_from`].
pub mod owner_from {
    pub const UNKNOWN: u8 = 0;
    /// The task that called connect.
    pub const CONNECT: u8 = 1;
    /// The task that called accept.
    pub const ACCEPT: u8 = 2;
    /// The task that dropped the last reference: it held the socket to the end.
    pub const CLOSE: u8 = 3;
    /// The task that received the descriptor from another process.
    pub const PASSED: u8 = 4;
}

/// Values of [`Noticed::call`]: what the hook knows of the call that received the error.
pub mod call {
    /// [`super::Noticed::stack`] tells.
    pub const BY_STACK: u8 = 0;
    pub const RECV: u8 = 1;
    pub const SEND: u8 = 2;
    pub const GETSOCKOPT: u8 = 3;
}

/// Return addresses kept of the call that received an error.
pub const STACK_DEPTH: usize = 12;

/// Bits of [`Record::flags`].
pub mod flag {
    /// No file refers to the socket any more (`SOCK_DEAD`).
    pub const ORPHAN: u8 = 1 << 0;
    /// The probe found a route and was handed to the IP layer.
    pub const SENT: u8 = 1 << 1;
    /// The socket speaks IPv4 through an `AF_INET6` socket.
    pub const V4_MAPPED: u8 = 1 << 2;
}

/// `AF_INET` and `AF_INET6` of the Linux ABI, as in [`Record::family`].
pub const AF_INET: u8 = 2;
pub const AF_INET6: u8 = 10;

/// [`Record::silence`] of a socket that never heard its peer.
pub const NEVER: u32 = u32::MAX;
/// [`Record::rtt_us`] when no round trip is known.
pub const NO_RTT: u32 = u32::MAX;

/// Bytes of a task's name, the closing NUL included (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// An address or a name: sixteen bytes, copied as two words. For plain bytes the compiler calls a
/// loop, which takes longer to run and much longer to verify.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sixteen(pub [u64; 2]);

impl Sixteen {
    /// As they stand in memory.
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (words, _) = bytes.as_chunks_mut();
        for (to, word) in words.iter_mut().zip(self.0) {
            *to = word.to_ne_bytes();
        }
        bytes
    }
}

impl From<[u8; 16]> for Sixteen {
    fn from(bytes: [u8; 16]) -> Self {
        let (words, _) = bytes.as_chunks();
        let [high, low] = [0, 1].map(|n| words.get(n).copied().map_or(0, u64::from_ne_bytes));
        Self([high, low])
    }
}

/// One event of one socket, in the kernel's own units.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Record {
    /// One of [`kind`].
    pub kind: u16,
    /// [`RECORD_SIZE`], so that a reader of another build refuses instead of guessing.
    pub size: u16,
    pub netns: u32,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// Socket inode, 0 if it has none at this moment and none was seen before.
    pub inode: u64,
    /// Start of the owner's thread group leader, `CLOCK_BOOTTIME` nanoseconds.
    pub owner_start_ns: u64,
    /// When the owner did what [`Record::owner_from`] says, `CLOCK_BOOTTIME` nanoseconds.
    pub owner_since_ns: u64,
    /// Both ends; an IPv4 address stands in its v4-mapped form.
    pub laddr: Sixteen,
    pub raddr: Sixteen,
    pub owner_comm: Sixteen,
    /// Thread group id in the initial pid namespace, 0 if unknown.
    pub owner_tgid: u32,
    /// One of [`owner_from`].
    pub owner_from: u8,
    /// [`AF_INET`] or [`AF_INET6`], as on the wire: v4-mapped is [`AF_INET`].
    pub family: u8,
    /// TCP state before the event (include/net/tcp_states.h).
    pub state: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Host byte order.
    pub lport: u16,
    pub rport: u16,
    /// Jiffies, the namespace's default resolved.
    pub keepidle: u32,
    /// Jiffies, the namespace's default resolved.
    pub keepintvl: u32,
    pub keepcnt: u32,
    /// Milliseconds, 0 = unset.
    pub user_timeout: u32,
    /// Jiffies since the peer was last heard, or [`NEVER`].
    pub silence: u32,
    /// Probes unanswered: after this one for a probe, before the answer for an answer.
    pub unanswered: u32,
    pub retransmits: u32,
    /// Microseconds from the last probe to its answer, or [`NO_RTT`].
    pub rtt_us: u32,
    /// `sk_err` and `sk_err_soft`, positive.
    pub err: u32,
    pub err_soft: u32,
    /// Sequence numbers, for what is in flight and what still waits.
    pub snd_una: u32,
    pub snd_nxt: u32,
    pub write_seq: u32,
    /// `net.ipv4.tcp_retries2` of the socket's namespace.
    pub retries2: u32,
    /// References to the socket's file: a descriptor each, and calls under way; 0 without a file.
    pub refs: u32,
    /// Thread group id that used the socket last, if there is more than one reference and that was
    /// noted; else 0.
    pub user_tgid: u32,
    /// Zero: spells out what would be padding.
    pub reserved: u32,
}

/// A process received the error of a death that was told before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Noticed {
    /// [`kind::NOTICED`].
    pub kind: u16,
    /// [`NOTICED_SIZE`].
    pub size: u16,
    pub tgid: u32,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// When the connection died, likewise.
    pub died_ns: u64,
    /// The socket.
    pub inode: u64,
    pub comm: Sixteen,
    pub tid: u32,
    /// The errno received, positive.
    pub err: u32,
    /// One of [`call`].
    pub call: u8,
    pub reserved: [u8; 7],
    /// Return addresses in the kernel, the innermost first, padded with zeros.
    pub stack: [u64; STACK_DEPTH],
}

/// What user space must know to keep what it remembers of holders true.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Notice {
    /// One of [`kind`], from [`kind::FORKED`] on.
    pub kind: u16,
    /// [`NOTICE_SIZE`].
    pub size: u16,
    /// The process: the child of a fork. 0 for an ended socket.
    pub tgid: u32,
    /// Its start, `CLOCK_BOOTTIME` nanoseconds.
    pub start_ns: u64,
    /// The socket that ended, 0 otherwise.
    pub inode: u64,
    /// The parent of a fork, 0 otherwise.
    pub parent: u32,
    pub reserved: u32,
    /// Its name from now on.
    pub comm: Sixteen,
}

/// Where a process comes from: the value of the map `LINEAGE`, by thread group id.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Start of the process and of its parent, `CLOCK_BOOTTIME` nanoseconds.
    pub start_ns: u64,
    pub parent_start_ns: u64,
    pub parent: u32,
    pub reserved: u32,
}

/// One descriptor of a TCP socket, as the iterator over descriptors writes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Descriptor {
    pub inode: u64,
    /// Start of the thread group leader, `CLOCK_BOOTTIME` nanoseconds.
    pub start_ns: u64,
    pub tgid: u32,
    pub fd: u32,
}

/// What one CPU could not keep or send since the start.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops(pub [u64; Self::SLOTS]);

impl Drops {
    /// One for each kind, and a power of two: what the verifier must be shown is a mask.
    pub const SLOTS: usize = 16;
    /// Sockets and processes that a table had no room for. The other slots are lost records, by
    /// kind.
    pub const UNTRACKED: usize = 0;

    /// Events of all kinds that found no room in the ring.
    pub fn lost(&self) -> u64 {
        self.0[kind::PROBE as usize..=kind::NOTICED as usize]
            .iter()
            .sum()
    }

    /// Notices that found no room in the ring.
    pub fn unheard(&self) -> u64 {
        self.0[kind::FORKED as usize..].iter().sum()
    }
}

/// Bytes of a [`Record`] in the ring.
pub const RECORD_SIZE: usize = size_of::<Record>();
/// Bytes of a [`Noticed`] in the ring.
pub const NOTICED_SIZE: usize = size_of::<Noticed>();
/// Bytes of a [`Notice`] in the ring.
pub const NOTICE_SIZE: usize = size_of::<Notice>();
/// Bytes of a [`Descriptor`] as the iterator writes it.
pub const DESCRIPTOR_SIZE: usize = size_of::<Descriptor>();

const _: () = {
    assert!(size_of::<Sixteen>() == COMM_LEN);
    // Every kind has its slot among the drops.
    assert!((kind::ENDED as usize) < Drops::SLOTS);
    assert!(RECORD_SIZE == 168);
    assert!(NOTICED_SIZE == 160);
    assert!(NOTICE_SIZE == 48);
    assert!(DESCRIPTOR_SIZE == 24);
    assert!(size_of::<Lineage>() == 24);
    assert!(core::mem::offset_of!(Noticed, size) == 2);
    assert!(core::mem::offset_of!(Noticed, comm) == 32);
    assert!(core::mem::offset_of!(Notice, size) == 2);
    assert!(core::mem::offset_of!(Notice, comm) == 32);
    assert!(align_of::<Record>() == 8);
    assert!(core::mem::offset_of!(Record, size) == 2);
    assert!(core::mem::offset_of!(Record, time_ns) == 8);
    assert!(core::mem::offset_of!(Record, laddr) == 40);
    assert!(core::mem::offset_of!(Record, owner_tgid) == 88);
    assert!(core::mem::offset_of!(Record, owner_from) == 92);
    assert!(core::mem::offset_of!(Record, lport) == 96);
    assert!(core::mem::offset_of!(Record, err) == 132);
    assert!(core::mem::offset_of!(Record, reserved) == RECORD_SIZE - 4);
};
