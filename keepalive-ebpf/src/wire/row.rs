//! What the iterator over TCP sockets writes: one row of fixed size for each socket.

use super::sixteen::Sixteen;

/// Bits of [`Row::flags`].
pub mod flag {
    /// `SO_KEEPALIVE` is set.
    pub const KEEPALIVE: u8 = 1 << 0;
}

/// [`Row::timer`] when the keepalive timer does not run.
pub const STOPPED: u32 = u32::MAX;

/// One socket, in the kernel's own units. A setting of 0 means the namespace's default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Row {
    /// Inode number of the socket, 0 if no file refers to it.
    pub inode: u64,
    /// Local address. An IPv4 address stands in its v4-mapped form.
    pub laddr: Sixteen,
    /// Remote address, in the same form.
    pub raddr: Sixteen,
    /// [`ROW_SIZE`]. A reader that was built for another size refuses the row.
    pub size: u16,
    /// As [`super::Record::family`].
    pub family: u8,
    /// TCP state (include/net/tcp_states.h).
    pub state: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// How often the retransmission timeout was doubled.
    pub backoff: u8,
    /// Local port, host byte order.
    pub lport: u16,
    /// Remote port, host byte order.
    pub rport: u16,
    /// Zero: stands where padding would be.
    pub reserved: u16,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Silence before the first probe: jiffies, 0 = the namespace's.
    pub keepidle: u32,
    /// Time between probes: jiffies, 0 = the namespace's.
    pub keepintvl: u32,
    /// Unanswered probes that end the connection, 0 = the namespace's.
    pub keepcnt: u32,
    /// `TCP_USER_TIMEOUT`: milliseconds, 0 = unset.
    pub user_timeout: u32,
    /// Time until the keepalive timer expires: jiffies, or [`STOPPED`].
    pub timer: u32,
    /// Time since the peer was last heard: jiffies, or [`super::NEVER`].
    pub silence: u32,
    /// Unanswered probes.
    pub unanswered: u32,
    /// Bytes that were written and are not acknowledged.
    pub unacked: u32,
    /// The present retransmission timeout: jiffies.
    pub rto: u32,
    /// The largest it may become: jiffies, 0 where the kernel has one limit for all sockets.
    pub rto_max: u32,
}

/// Bytes of a [`Row`].
pub const ROW_SIZE: usize = size_of::<Row>();

const _: () = {
    assert!(ROW_SIZE == 96);
    assert!(align_of::<Row>() == 8);
    assert!(core::mem::offset_of!(Row, laddr) == 8);
    assert!(core::mem::offset_of!(Row, size) == 40);
    assert!(core::mem::offset_of!(Row, flags) == 44);
    assert!(core::mem::offset_of!(Row, lport) == 46);
    assert!(core::mem::offset_of!(Row, netns) == 52);
    assert!(core::mem::offset_of!(Row, timer) == 72);
    assert!(core::mem::offset_of!(Row, rto_max) == ROW_SIZE - 4);
};
