//! The sole reader of `struct sock` and of the structures around it.
//!
//! Everything is read with `bpf_probe_read_kernel`: a timer's exit may find the socket freed, and
//! then stale bytes are better than a fault. Callers guard against those with what they saw before.

use keepalive_ebpf::{
    config::CGROUP_DEPTH,
    row::STOPPED,
    wire::{AF_INET, AF_INET6, NEVER},
};

use crate::mem::{config, field, jiffies, read};

/// TCP states of include/net/tcp_states.h, which are ABI (`/proc/net/tcp`, `tcp_info`).
pub mod state {
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECV: u8 = 3;
    pub const FIN_WAIT1: u8 = 4;
    pub const TIME_WAIT: u8 = 6;
    pub const CLOSE: u8 = 7;
    pub const LAST_ACK: u8 = 9;
    pub const LISTEN: u8 = 10;
    pub const NEW_SYN_RECV: u8 = 12;
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

/// Keepalive settings; times in jiffies.
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

    /// Jiffies until its keepalive timer expires, or [`STOPPED`].
    #[inline(always)]
    pub fn keepalive_left(self) -> u32 {
        let timer = self.0 + u64::from(field!(keepalive_timer).offset);
        if read!(timer, timer_pprev) == 0 {
            return STOPPED;
        }
        let left = self.keepalive_expires().wrapping_sub(jiffies());
        // Due, and waiting for its softirq.
        if (left as i32) < 0 { 0 } else { left }
    }

    /// The retransmission timeout as it stands, jiffies.
    #[inline(always)]
    pub fn rto(self) -> u32 {
        read!(self.0, icsk_rto) as u32
    }

    /// What that may grow to, jiffies; 0 where the kernel has one limit for all sockets.
    #[inline(always)]
    pub fn rto_max(self) -> u32 {
        read!(self.0, icsk_rto_max) as u32
    }

    /// How often it was doubled.
    #[inline(always)]
    pub fn backoff(self) -> u8 {
        read!(self.0, icsk_backoff) as u8
    }

    /// The keepalive settings of the socket itself; 0 = the namespace's.
    #[inline(always)]
    pub fn own_settings(self) -> Settings {
        Settings {
            keepidle: read!(self.0, keepalive_time) as u32,
            keepintvl: read!(self.0, keepalive_intvl) as u32,
            keepcnt: read!(self.0, keepalive_probes) as u32,
        }
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

    /// The socket that a file refers to: an MPTCP subflow's is its connection's. Only of a TCP
    /// socket; on any other the first read would be of something else.
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

    /// The `struct socket` that a file refers to, 0 when none does.
    #[inline(always)]
    fn socket(self) -> u64 {
        read!(self.held().0, sk_socket)
    }

    /// References to its file, 0 when no file refers to the socket.
    #[inline(always)]
    pub fn refs(self) -> u32 {
        refs_of(self.socket())
    }

    /// Inode number in sockfs, 0 when no file refers to the socket.
    #[inline(always)]
    pub fn inode(self) -> u64 {
        self.held().own_inode()
    }

    /// The same, of a socket that is known to have a file: no subflow has one.
    #[inline(always)]
    pub fn own_inode(self) -> u64 {
        if field!(sk_ino).size != 0 {
            return read!(self.0, sk_ino);
        }
        inode_of(read!(self.0, sk_socket))
    }

    /// Both, read in one go.
    #[inline(always)]
    pub fn inode_and_refs(self) -> (u64, u32) {
        let held = self.held();
        let socket = read!(held.0, sk_socket);
        let inode = if field!(sk_ino).size != 0 {
            read!(held.0, sk_ino)
        } else {
            inode_of(socket)
        };
        (inode, refs_of(socket))
    }

    /// Jiffies of silence before the first probe. As `keepalive_time_when` in include/net/tcp.h has
    /// it, and its like below, 0 means the namespace's default.
    #[inline(always)]
    pub fn keepidle(self, net: Net) -> u32 {
        match read!(self.0, keepalive_time) as u32 {
            0 => read!(net.0, net_keepalive_time) as u32,
            set => set,
        }
    }

    /// Jiffies from one probe to the next.
    #[inline(always)]
    pub fn keepintvl(self, net: Net) -> u32 {
        match read!(self.0, keepalive_intvl) as u32 {
            0 => read!(net.0, net_keepalive_intvl) as u32,
            set => set,
        }
    }

    /// Unanswered probes that end the connection.
    #[inline(always)]
    pub fn keepcnt(self, net: Net) -> u32 {
        match read!(self.0, keepalive_probes) as u32 {
            0 => read!(net.0, net_keepalive_probes) as u32,
            set => set,
        }
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

/// Inode number of a `struct socket`, which its `socket_alloc` surrounds.
#[inline(always)]
fn inode_of(socket: u64) -> u64 {
    if socket == 0 {
        return 0;
    }
    read!(
        socket - u64::from(field!(socket_in_alloc).offset),
        alloc_ino
    )
}

#[inline(always)]
fn refs_of(socket: u64) -> u32 {
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
