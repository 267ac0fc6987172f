//! A change that matters to whoever remembers the owners of sockets.

/// A process started another, changed its name or ended; or a socket is gone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Notice {
    /// [`super::kind::FORKED`], [`super::kind::RENAMED`], [`super::kind::EXITED`] or
    /// [`super::kind::ENDED`].
    pub kind: u16,
    /// [`NOTICE_SIZE`].
    pub size: u16,
    /// Thread group id of the process; the child's at a fork. 0 for a socket.
    pub tgid: u32,
    /// Thread group id of the parent at a fork, 0 otherwise.
    pub parent: u32,
    /// Zero: stands where padding would be.
    pub reserved: u32,
    /// Inode number of the socket that is gone, 0 otherwise.
    pub inode: u64,
}

/// Bytes of a [`Notice`] in the ring.
pub const NOTICE_SIZE: usize = size_of::<Notice>();

const _: () = {
    assert!(NOTICE_SIZE == 24);
    assert!(align_of::<Notice>() == 8);
    assert!(core::mem::offset_of!(Notice, size) == 2);
    assert!(core::mem::offset_of!(Notice, inode) == NOTICE_SIZE - 8);
};
