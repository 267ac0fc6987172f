//! One error that a process received.

use super::sixteen::{COMM_LEN, Sixteen};

/// Values of [`Noticed::call`]: what the hook knows about the call that received the error.
pub mod call {
    /// Nothing. [`super::Noticed::stack`] tells.
    pub const BY_STACK: u8 = 0;
    /// A call that receives.
    pub const RECV: u8 = 1;
    /// A call that sends.
    pub const SEND: u8 = 2;
    /// getsockopt with `SO_ERROR`.
    pub const GETSOCKOPT: u8 = 3;
}

/// Return addresses that are kept of the call that received the error.
pub const STACK_DEPTH: usize = 12;

/// A process received the error of a dead connection. A [`super::Record`] told the death before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Noticed {
    /// [`super::kind::NOTICED`].
    pub kind: u16,
    /// [`NOTICED_SIZE`].
    pub size: u16,
    /// Thread group id of the process in the initial pid namespace.
    pub tgid: u32,
    /// When it received the error: `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// When the connection died: `CLOCK_MONOTONIC`, nanoseconds.
    pub died_ns: u64,
    /// Inode number of the socket.
    pub inode: u64,
    /// Name of the process, NUL-padded.
    pub comm: Sixteen,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// The errno it received, positive. 0 if [`Noticed::stack`] alone tells of the call.
    pub err: u32,
    /// One of [`call`].
    pub call: u8,
    /// Zero: stands where padding would be.
    pub reserved: [u8; 7],
    /// Return addresses in the kernel, the innermost first, padded with zeros.
    pub stack: [u64; STACK_DEPTH],
}

/// Bytes of a [`Noticed`] in the ring.
pub const NOTICED_SIZE: usize = size_of::<Noticed>();

const _: () = {
    assert!(NOTICED_SIZE == 160);
    assert!(align_of::<Noticed>() == 8);
    assert!(core::mem::offset_of!(Noticed, size) == 2);
    assert!(core::mem::offset_of!(Noticed, comm) == 32);
    assert!(core::mem::offset_of!(Noticed, tid) == 32 + COMM_LEN);
    assert!(core::mem::offset_of!(Noticed, stack) == NOTICED_SIZE - 8 * STACK_DEPTH);
};
