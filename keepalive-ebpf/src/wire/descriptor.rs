//! Who holds a socket: file descriptors, and where processes come from.

/// One descriptor of a TCP socket, as the iterator over descriptors writes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Descriptor {
    /// Inode number of the socket.
    pub inode: u64,
    /// Thread group id of the process that holds it, in the initial pid namespace.
    pub tgid: u32,
    /// Number of the descriptor in that process.
    pub fd: u32,
}

/// Where a process comes from: the value of the map `LINEAGE`. The key is its thread group id.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Start of the process: `CLOCK_BOOTTIME`, nanoseconds.
    pub start_ns: u64,
    /// Start of its parent: `CLOCK_BOOTTIME`, nanoseconds.
    pub parent_start_ns: u64,
    /// Thread group id of its parent.
    pub parent: u32,
    /// Zero: stands where padding would be.
    pub reserved: u32,
}

/// Bytes of a [`Descriptor`] as the iterator writes it.
pub const DESCRIPTOR_SIZE: usize = size_of::<Descriptor>();

const _: () = {
    assert!(DESCRIPTOR_SIZE == 16);
    assert!(size_of::<Lineage>() == 24);
};
