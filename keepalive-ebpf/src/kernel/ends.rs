//! Both ends of a connection.

use keepalive_ebpf::wire::{AF_INET, AF_INET6, Sixteen, flag};

use super::{
    memory::{field, read, read_16},
    sock::Sock,
};

/// Both ends of a connection, in the form in which they are filtered and sent.
pub struct Ends {
    /// Local address; IPv4 in its v4-mapped form.
    pub laddr: Sixteen,
    /// Remote address, in the same form.
    pub raddr: Sixteen,
    /// Local port, host byte order.
    pub lport: u16,
    /// Remote port, host byte order.
    pub rport: u16,
    /// [`AF_INET`] for v4-mapped addresses too.
    pub family: u8,
    /// Bits of [`flag`] that follow from the addresses.
    pub flags: u8,
}

impl Sock {
    /// Reads both ends. The local port comes from `inet_sport`, because `inet_num` is already 0 when
    /// the state of a dying socket changes.
    #[inline(always)]
    pub fn ends(self) -> Ends {
        let mut ends = Ends {
            laddr: Sixteen::default(),
            raddr: Sixteen::default(),
            lport: u16::from_be(read!(self.0, inet_sport) as u16),
            rport: u16::from_be(read!(self.0, skc_dport) as u16),
            family: read!(self.0, skc_family) as u8,
            flags: 0,
        };
        if ends.family == AF_INET6 {
            read_16(self.0, field!(skc_v6_rcv_saddr), &mut ends.laddr);
            read_16(self.0, field!(skc_v6_daddr), &mut ends.raddr);
            if is_v4_mapped(ends.raddr) {
                ends.family = AF_INET;
                ends.flags = flag::V4_MAPPED;
            }
        } else {
            ends.laddr = v4_mapped(read!(self.0, skc_rcv_saddr) as u32);
            ends.raddr = v4_mapped(read!(self.0, skc_daddr) as u32);
        }
        ends
    }
}

/// Upper half of the last eight bytes of a v4-mapped address.
const V4_MAPPED: u64 = 0xffff;

#[inline(always)]
fn is_v4_mapped(Sixteen([high, low]): Sixteen) -> bool {
    high == 0 && u64::from_be(low) >> 32 == V4_MAPPED
}

/// `addr` is in network byte order, as the kernel holds it.
#[inline(always)]
fn v4_mapped(addr: u32) -> Sixteen {
    let low = V4_MAPPED << 32 | u64::from(u32::from_be(addr));
    Sixteen([0, low.to_be()])
}
