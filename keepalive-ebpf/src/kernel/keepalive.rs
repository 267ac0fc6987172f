//! The keepalive settings of a socket, and its keepalive timer.

use keepalive_ebpf::wire::STOPPED;

use super::{
    memory::{config, field, jiffies, read},
    net::Net,
    sock::Sock,
};

/// The settings of the socket itself. 0 means the namespace's default.
pub struct OwnSettings {
    /// Silence before the first probe, jiffies.
    pub keepidle: u32,
    /// Time between probes, jiffies.
    pub keepintvl: u32,
    /// Unanswered probes that end the connection.
    pub keepcnt: u32,
}

impl Sock {
    /// `SO_KEEPALIVE` is set.
    #[inline(always)]
    pub fn is_keepopen(self) -> bool {
        read!(self.0, sk_flags) & (1 << config!(sock_keepopen)) != 0
    }

    /// `TCP_USER_TIMEOUT`: milliseconds, 0 = unset.
    #[inline(always)]
    pub fn user_timeout(self) -> u32 {
        read!(self.0, icsk_user_timeout) as u32
    }

    /// The settings of the socket itself.
    #[inline(always)]
    pub fn own_settings(self) -> OwnSettings {
        OwnSettings {
            keepidle: read!(self.0, keepalive_time) as u32,
            keepintvl: read!(self.0, keepalive_intvl) as u32,
            keepcnt: read!(self.0, keepalive_probes) as u32,
        }
    }

    /// Jiffies of silence before the first probe. 0 in the socket means the namespace's default, here
    /// and in the next two, as in `keepalive_time_when` (include/net/tcp.h).
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
        // Below zero it is due already, and waits for its softirq.
        if (left as i32) < 0 { 0 } else { left }
    }
}
