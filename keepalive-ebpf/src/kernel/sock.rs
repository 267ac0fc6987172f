//! `struct sock`: what a socket is and in which state.

use keepalive_ebpf::wire::{AF_INET, AF_INET6};

use super::{
    memory::{config, read},
    net::Net,
};

/// TCP states of include/net/tcp_states.h. They are ABI (`/proc/net/tcp`, `tcp_info`).
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

/// Registered by IANA, so it is the same on every kernel.
const IPPROTO_TCP: u64 = 6;
/// Of the Linux ABI.
const IPPROTO_MPTCP: u64 = 262;

/// Address of a `struct sock` that is a full TCP socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sock(pub u64);

impl Sock {
    /// Its network namespace.
    #[inline(always)]
    pub fn net(self) -> Net {
        Net(read!(self.0, skc_net))
    }

    /// One of [`state`], or a state that katrace never compares with.
    #[inline(always)]
    pub fn state(self) -> u8 {
        read!(self.0, skc_state) as u8
    }

    /// `sk_err`: a positive errno, 0 = none.
    #[inline(always)]
    pub fn err(self) -> u32 {
        read!(self.0, sk_err) as u32
    }

    /// `sk_err_soft`: a positive errno, 0 = none.
    #[inline(always)]
    pub fn err_soft(self) -> u32 {
        read!(self.0, sk_err_soft) as u32
    }

    /// It has a route. The IP layer keeps the route in the socket, and removes it when a lookup fails.
    #[inline(always)]
    pub fn has_route(self) -> bool {
        read!(self.0, sk_dst_cache) != 0
    }

    /// Its protocol is TCP. The state tracepoint fires for DCCP, SCTP and MPTCP too, whose sockets
    /// have another layout.
    #[inline(always)]
    pub fn is_tcp(self) -> bool {
        read!(self.0, sk_protocol) == IPPROTO_TCP
    }

    /// Its protocol is TCP or MPTCP.
    #[inline(always)]
    pub fn is_tcp_or_mptcp(self) -> bool {
        matches!(read!(self.0, sk_protocol), IPPROTO_TCP | IPPROTO_MPTCP)
    }

    /// Its family is IPv4 or IPv6.
    #[inline(always)]
    pub fn is_inet(self) -> bool {
        let family = read!(self.0, skc_family) as u8;
        family == AF_INET || family == AF_INET6
    }

    /// No file refers to it any more (`SOCK_DEAD`).
    #[inline(always)]
    pub fn is_dead(self) -> bool {
        read!(self.0, sk_flags) & (1 << config!(sock_dead)) != 0
    }
}
