//! One event of one socket.

use super::sixteen::Sixteen;

/// Values of [`Record::owner_from`]: what the owner was seen to do to the socket.
pub mod owner_from {
    /// No task was seen acting on the socket.
    pub const UNKNOWN: u8 = 0;
    /// It called connect.
    pub const CONNECT: u8 = 1;
    /// It called accept.
    pub const ACCEPT: u8 = 2;
    /// It dropped the last reference, so it held the socket to the end.
    pub const CLOSE: u8 = 3;
    /// It received the descriptor from another process.
    pub const PASSED: u8 = 4;
}

/// Bits of [`Record::flags`].
pub mod flag {
    /// No file refers to the socket any more (`SOCK_DEAD`).
    pub const ORPHAN: u8 = 1 << 0;
    /// The probe found a route and was handed to the IP layer.
    pub const SENT: u8 = 1 << 1;
    /// The socket speaks IPv4 through an `AF_INET6` socket.
    pub const V4_MAPPED: u8 = 1 << 2;
}

/// `AF_INET` of the Linux ABI, as in [`Record::family`].
pub const AF_INET: u8 = 2;
/// `AF_INET6` of the Linux ABI, as in [`Record::family`].
pub const AF_INET6: u8 = 10;

/// [`Record::silence`] of a socket that never heard its peer.
pub const NEVER: u32 = u32::MAX;
/// [`Record::rtt_us`] when no round trip is known.
pub const NO_RTT: u32 = u32::MAX;

/// One event of one socket, in the kernel's own units.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Record {
    /// One of [`super::kind`].
    pub kind: u16,
    /// [`RECORD_SIZE`]. A reader that was built for another size refuses the record.
    pub size: u16,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Time of the event: `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// Inode number of the socket. 0 if it has none at this moment and none was seen before.
    pub inode: u64,
    /// Start of the owner's thread group leader: `CLOCK_BOOTTIME`, nanoseconds.
    pub owner_start_ns: u64,
    /// When the owner did what [`Record::owner_from`] says: `CLOCK_BOOTTIME`, nanoseconds.
    pub owner_since_ns: u64,
    /// Local address. An IPv4 address stands in its v4-mapped form.
    pub laddr: Sixteen,
    /// Remote address, in the same form.
    pub raddr: Sixteen,
    /// The owner's name when it acted, NUL-padded.
    pub owner_comm: Sixteen,
    /// The owner's thread group id in the initial pid namespace. 0 if unknown.
    pub owner_tgid: u32,
    /// One of [`owner_from`].
    pub owner_from: u8,
    /// [`AF_INET`] or [`AF_INET6`], as on the wire: v4-mapped is [`AF_INET`].
    pub family: u8,
    /// TCP state before the event (include/net/tcp_states.h).
    pub state: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Local port, host byte order.
    pub lport: u16,
    /// Remote port, host byte order.
    pub rport: u16,
    /// Silence before the first probe: jiffies, the namespace's default resolved.
    pub keepidle: u32,
    /// Time between probes: jiffies, the namespace's default resolved.
    pub keepintvl: u32,
    /// Unanswered probes that end the connection, the namespace's default resolved.
    pub keepcnt: u32,
    /// `TCP_USER_TIMEOUT`: milliseconds, 0 = unset.
    pub user_timeout: u32,
    /// Time since the peer was last heard: jiffies, or [`NEVER`].
    pub silence: u32,
    /// Unanswered probes: a probe counts itself, an answer does not count itself.
    pub unanswered: u32,
    /// `icsk_retransmits`.
    pub retransmits: u32,
    /// Time from the last probe to its answer: microseconds, or [`NO_RTT`].
    pub rtt_us: u32,
    /// `sk_err`: a positive errno.
    pub err: u32,
    /// First sequence number that is not acknowledged.
    pub snd_una: u32,
    /// Next sequence number to send.
    pub snd_nxt: u32,
    /// End of what the application has written.
    pub write_seq: u32,
    /// `net.ipv4.tcp_retries2` of the socket's namespace.
    pub retries2: u32,
    /// References to the socket's file: its descriptors, and calls that are running. 0 without a file.
    pub refs: u32,
    /// Thread group id that used the socket last. Noted only while there is more than one reference;
    /// otherwise 0.
    pub user_tgid: u32,
}

/// Bytes of a [`Record`] in the ring.
pub const RECORD_SIZE: usize = size_of::<Record>();

const _: () = {
    assert!(RECORD_SIZE == 160);
    assert!(align_of::<Record>() == 8);
    assert!(core::mem::offset_of!(Record, size) == 2);
    assert!(core::mem::offset_of!(Record, time_ns) == 8);
    assert!(core::mem::offset_of!(Record, laddr) == 40);
    assert!(core::mem::offset_of!(Record, owner_tgid) == 88);
    assert!(core::mem::offset_of!(Record, owner_from) == 92);
    assert!(core::mem::offset_of!(Record, lport) == 96);
    assert!(core::mem::offset_of!(Record, err) == 132);
    // There is no padding: every byte of a record is written.
    assert!(core::mem::offset_of!(Record, user_tgid) == RECORD_SIZE - 4);
};
