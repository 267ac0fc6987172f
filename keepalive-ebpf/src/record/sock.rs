//! The sole reader of `struct sock` and of the structures around it.
//!
//! Everything is read with `bpf_probe_read_kernel`: a timer's exit may find the socket freed, and
//! then stale bytes are better than a fault. Callers guard against those with what they saw before.

use keepalive_ebpf::{
    config::CGROUP_DEPTH,
    wire::{AF_INET, AF_INET6, NEVER, flag},
};

use crate::mem::{config, field, jiffies, read, read_16};

/// TCP states of include/net/tcp_states.h, which are ABI (`/proc/net/tcp`, `tcp_info`).
pub mod state {
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECV: u8 = 3;
    pub const FIN_WAIT1: u8 = 4;
    pub const CLOSE: u8 = 7;
    pub const LAST_ACK: u8 = 9;
    pub const LISTEN: u8 = 10;
}

/// Of the Internet's registry, and so of every kernel.
const IPPROTO_TCP: u64 = 6;
/// Of the Linux ABI.
const IPPROTO_MPTCP: u64 = 262;

/// File types of the Linux ABI.
const S_IFMT: u64 = 0o170000;
const S_IFSOCK: u64 = 0o140000;

/// Address of a `struct sock` that is a full TCP socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sock(pub u64);

/// Address of a `struct net`.
#[derive(Clone, Copy)]
pub struct Net(u64);

/// Address of a `struct timer_list`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Timer(pub u64);

/// Both ends of a connection, as they are filtered and sent.
pub struct Ends {
    pub laddr: [u8; 16],
    pub raddr: [u8; 16],
    pub lport: u16,
    pub rport: u16,
    pub family: u8,
    /// Bits of [`flag`] that follow from the addresses.
    pub flags: u8,
}

/// Effective keepalive settings; times in jiffies.
pub struct Settings {
    pub keepidle: u32,
    pub keepintvl: u32,
    pub keepcnt: u32,
}

impl Timer {
    /// The function it calls when it expires.
    #[inline(always)]
    pub fn function(self) -> u64 {
        read!(self.0, timer_function)
    }

    /// The socket whose keepalive timer this is.
    #[inline(always)]
    pub fn sock(self) -> Sock {
        Sock(self.0 - u64::from(field!(keepalive_timer).offset))
    }
}

impl Net {
    #[inline(always)]
    pub fn inum(self) -> u32 {
        read!(self.0, net_inum) as u32
    }

    #[inline(always)]
    pub fn retries2(self) -> u32 {
        read!(self.0, net_retries2) as u32
    }
}

impl Sock {
    /// The socket behind a `struct file`; nothing if that is no socket.
    #[inline(always)]
    pub fn of_file(file: u64) -> Option<Self> {
        if read!(read!(file, file_inode), inode_mode) & S_IFMT != S_IFSOCK {
            return None;
        }
        match read!(read!(file, file_private_data), socket_sk) {
            0 => None,
            sock => Some(Self(sock)),
        }
    }

    #[inline(always)]
    pub fn net(self) -> Net {
        Net(read!(self.0, skc_net))
    }

    #[inline(always)]
    pub fn state(self) -> u8 {
        read!(self.0, skc_state) as u8
    }

    /// `icsk_probes_out`: a `u8` in the kernel, so it wraps at 256.
    #[inline(always)]
    pub fn probes_out(self) -> u32 {
        read!(self.0, icsk_probes_out) as u32
    }

    #[inline(always)]
    pub fn retransmits(self) -> u32 {
        read!(self.0, icsk_retransmits) as u32
    }

    /// Milliseconds, 0 = unset.
    #[inline(always)]
    pub fn user_timeout(self) -> u32 {
        read!(self.0, icsk_user_timeout) as u32
    }

    #[inline(always)]
    pub fn err(self) -> u32 {
        read!(self.0, sk_err) as u32
    }

    #[inline(always)]
    pub fn err_soft(self) -> u32 {
        read!(self.0, sk_err_soft) as u32
    }

    #[inline(always)]
    pub fn snd_una(self) -> u32 {
        read!(self.0, snd_una) as u32
    }

    #[inline(always)]
    pub fn snd_nxt(self) -> u32 {
        read!(self.0, snd_nxt) as u32
    }

    #[inline(always)]
    pub fn write_seq(self) -> u32 {
        read!(self.0, write_seq) as u32
    }

    /// Segments received since the connection began; wraps.
    #[inline(always)]
    pub fn segs_in(self) -> u32 {
        read!(self.0, segs_in) as u32
    }

    /// Segments sent since the connection began; wraps.
    #[inline(always)]
    pub fn segs_out(self) -> u32 {
        read!(self.0, segs_out) as u32
    }

    #[inline(always)]
    pub fn rcv_nxt(self) -> u32 {
        read!(self.0, rcv_nxt) as u32
    }

    /// Microseconds, `CLOCK_MONOTONIC`: when TCP last handled a segment of this socket.
    #[inline(always)]
    pub fn mstamp_us(self) -> u64 {
        read!(self.0, tcp_mstamp)
    }

    /// It has a route: the IP layer keeps it on the socket, and drops it when a lookup fails.
    #[inline(always)]
    pub fn has_route(self) -> bool {
        read!(self.0, sk_dst_cache) != 0
    }

    /// The state tracepoint also tells of DCCP, SCTP and MPTCP, whose sockets are laid out
    /// otherwise.
    #[inline(always)]
    pub fn is_tcp(self) -> bool {
        read!(self.0, sk_protocol) == IPPROTO_TCP
    }

    #[inline(always)]
    pub fn is_tcp_or_mptcp(self) -> bool {
        matches!(read!(self.0, sk_protocol), IPPROTO_TCP | IPPROTO_MPTCP)
    }

    /// IPv4 or IPv6.
    #[inline(always)]
    pub fn is_inet(self) -> bool {
        let family = read!(self.0, skc_family) as u8;
        family == AF_INET || family == AF_INET6
    }

    /// No file refers to it any more.
    #[inline(always)]
    pub fn is_dead(self) -> bool {
        read!(self.0, sk_flags) & (1 << config!(sock_dead)) != 0
    }

    /// `SO_KEEPALIVE` is set.
    #[inline(always)]
    pub fn is_keepopen(self) -> bool {
        read!(self.0, sk_flags) & (1 << config!(sock_keepopen)) != 0
    }

    /// When its keepalive timer will expire next, jiffies.
    #[inline(always)]
    pub fn keepalive_expires(self) -> u32 {
        let timer = self.0 + u64::from(field!(keepalive_timer).offset);
        read!(timer, timer_expires) as u32
    }

    /// When the peer was last heard, jiffies: the later of the last ACK and the last data.
    #[inline(always)]
    pub fn heard(self) -> u32 {
        let ack = read!(self.0, rcv_tstamp) as u32;
        let data = read!(self.0, icsk_lrcvtime) as u32;
        if (ack.wrapping_sub(data) as i32) < 0 {
            data
        } else {
            ack
        }
    }

    /// Jiffies since the peer was last heard, or [`NEVER`].
    ///
    /// Both stamps are 0 until the handshake sets them.
    #[inline(always)]
    pub fn silence(self) -> u32 {
        let heard = self.heard();
        if heard == 0 {
            NEVER
        } else {
            jiffies().wrapping_sub(heard)
        }
    }

    /// The socket that a file refers to: an MPTCP subflow's is its connection's.
    #[inline(always)]
    fn held(self) -> Self {
        if read!(self.0, tcp_is_mptcp) == 0 {
            return self;
        }
        match read!(read!(self.0, icsk_ulp_data), subflow_conn) {
            0 => self,
            connection => Self(connection),
        }
    }

    /// References to its file, 0 when no file refers to the socket.
    #[inline(always)]
    pub fn refs(self) -> u32 {
        let socket = read!(self.held().0, sk_socket);
        if socket == 0 {
            return 0;
        }
        let file = read!(socket, socket_file);
        if file == 0 {
            return 0;
        }
        match read!(file, file_refs) as i64 {
            // Since 6.13 a file that is being closed for good counts below zero.
            dead if dead < 0 => 0,
            refs => (refs as u32).wrapping_add(config!(file_refs_bias)),
        }
    }

    /// Inode number in sockfs, 0 when no file refers to the socket.
    #[inline(always)]
    pub fn inode(self) -> u64 {
        let held = self.held();
        if field!(sk_ino).size != 0 {
            return read!(held.0, sk_ino);
        }
        let socket = read!(held.0, sk_socket);
        if socket == 0 {
            return 0;
        }
        read!(
            socket - u64::from(field!(socket_in_alloc).offset),
            alloc_ino
        )
    }

    /// `keepalive_time_when` and its like in include/net/tcp.h: 0 means the namespace's default.
    #[inline(always)]
    pub fn settings(self, net: Net) -> Settings {
        let mut settings = Settings {
            keepidle: self.keepidle(net),
            keepintvl: read!(self.0, keepalive_intvl) as u32,
            keepcnt: read!(self.0, keepalive_probes) as u32,
        };
        if settings.keepintvl == 0 {
            settings.keepintvl = read!(net.0, net_keepalive_intvl) as u32;
        }
        if settings.keepcnt == 0 {
            settings.keepcnt = read!(net.0, net_keepalive_probes) as u32;
        }
        settings
    }

    /// Jiffies of silence before the first probe.
    #[inline(always)]
    pub fn keepidle(self, net: Net) -> u32 {
        match read!(self.0, keepalive_time) as u32 {
            0 => read!(net.0, net_keepalive_time) as u32,
            set => set,
        }
    }

    /// Both ends. `inet_sport` rather than `inet_num` for the local port: that one is already 0
    /// when a dying socket's state changes.
    #[inline(always)]
    pub fn ends(self) -> Ends {
        let mut ends = Ends {
            laddr: [0; 16],
            raddr: [0; 16],
            lport: u16::from_be(read!(self.0, inet_sport) as u16),
            rport: u16::from_be(read!(self.0, skc_dport) as u16),
            family: read!(self.0, skc_family) as u8,
            flags: 0,
        };
        if ends.family == AF_INET6 {
            read_16(self.0, field!(skc_v6_rcv_saddr), &mut ends.laddr);
            read_16(self.0, field!(skc_v6_daddr), &mut ends.raddr);
            if is_v4_mapped(&ends.raddr) {
                ends.family = AF_INET;
                ends.flags = flag::V4_MAPPED;
            }
        } else {
            map_v4(&mut ends.laddr, read!(self.0, skc_rcv_saddr) as u32);
            map_v4(&mut ends.raddr, read!(self.0, skc_daddr) as u32);
        }
        ends
    }

    /// Its cgroup, or one above it, has this id.
    #[inline(always)]
    pub fn in_cgroup(self, wanted: u64) -> bool {
        // Before 5.15 the low bits are flags, and bit 0 says that no pointer is held at all.
        let data = read!(self.0, sk_cgroup);
        if data & 1 != 0 {
            return false;
        }
        let mut cgroup = data & !3;
        for _ in 0..CGROUP_DEPTH {
            if cgroup == 0 {
                return false;
            }
            if read!(read!(cgroup, cgroup_kn), kn_id) == wanted {
                return true;
            }
            let parent = read!(cgroup, cgroup_parent_css);
            if parent == 0 {
                return false;
            }
            cgroup = read!(parent, css_cgroup);
        }
        false
    }
}

#[inline(always)]
fn is_v4_mapped(addr: &[u8; 16]) -> bool {
    let mut head = 0u8;
    for byte in addr.iter().take(10) {
        head |= byte;
    }
    head == 0 && addr[10] == 0xff && addr[11] == 0xff
}

/// `addr` is in network byte order, as the kernel holds it.
#[inline(always)]
fn map_v4(to: &mut [u8; 16], addr: u32) {
    to[10] = 0xff;
    to[11] = 0xff;
    let bytes = addr.to_ne_bytes();
    to[12] = bytes[0];
    to[13] = bytes[1];
    to[14] = bytes[2];
    to[15] = bytes[3];
}
