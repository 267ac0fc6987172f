//! What the iterator over TCP sockets writes: one row of fixed size for each socket.

use crate::wire::Sixteen;

/// Bits of [`Row::flags`].
pub mod flag {
    /// `SO_KEEPALIVE` is set.
    pub const KEEPALIVE: u8 = 1 << 0;
}

/// [`Row::timer`] of a keepalive timer that does not run.
pub const STOPPED: u32 = u32::MAX;

/// One socket, in the kernel's own units. Namespace defaults are not resolved: 0 asks for them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Row {
    /// Socket inode, 0 if no file refers to it.
    pub inode: u64,
    /// Both ends; an IPv4 address stands in its v4-mapped form.
    pub laddr: Sixteen,
    pub raddr: Sixteen,
    /// [`ROW_SIZE`], so that a reader of another build refuses instead of guessing.
    pub size: u16,
    /// As [`crate::wire::Record::family`].
    pub family: u8,
    /// TCP state (include/net/tcp_states.h).
    pub state: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// How often the retransmission timeout was doubled.
    pub backoff: u8,
    /// Host byte order.
    pub lport: u16,
    pub rport: u16,
    /// Zero: spells out what would be padding.
    pub reserved: u16,
    pub netns: u32,
    /// Jiffies, 0 = the namespace's.
    pub keepidle: u32,
    /// Jiffies, 0 = the namespace's.
    pub keepintvl: u32,
    /// 0 = the namespace's.
    pub keepcnt: u32,
    /// Milliseconds, 0 = unset.
    pub user_timeout: u32,
    /// Jiffies until the keepalive timer expires, or [`STOPPED`].
    pub timer: u32,
    /// Jiffies since the peer was last heard, or [`crate::wire::NEVER`].
    pub silence: u32,
    /// Probes unanswered.
    pub unanswered: u32,
    /// Bytes written and not acknowledged.
    pub unacked: u32,
    /// The retransmission timeout as it stands, jiffies.
    pub rto: u32,
    /// What it may grow to, jiffies; 0 where the kernel has one limit for all sockets.
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
