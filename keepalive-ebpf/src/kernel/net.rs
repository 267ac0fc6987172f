//! Network namespaces.

use super::memory::read;

/// Address of a `struct net`.
#[derive(Clone, Copy)]
pub struct Net(pub u64);

impl Net {
    /// Inode number of the namespace.
    #[inline(always)]
    pub fn inum(self) -> u32 {
        read!(self.0, net_inum) as u32
    }

    /// `net.ipv4.tcp_retries2`.
    #[inline(always)]
    pub fn retries2(self) -> u32 {
        read!(self.0, net_retries2) as u32
    }
}
