//! What TCP keeps of a connection: counts, sequence numbers and time stamps.

use keepalive_ebpf::wire::NEVER;

use super::{
    memory::{jiffies, read},
    sock::Sock,
};

impl Sock {
    /// Unanswered probes (`icsk_probes_out`). A `u8` in the kernel, so it wraps at 256.
    #[inline(always)]
    pub fn probes_out(self) -> u32 {
        read!(self.0, icsk_probes_out) as u32
    }

    /// Retransmissions that are not acknowledged.
    #[inline(always)]
    pub fn retransmits(self) -> u32 {
        read!(self.0, icsk_retransmits) as u32
    }

    /// First sequence number that is not acknowledged.
    #[inline(always)]
    pub fn snd_una(self) -> u32 {
        read!(self.0, snd_una) as u32
    }

    /// Next sequence number to send.
    #[inline(always)]
    pub fn snd_nxt(self) -> u32 {
        read!(self.0, snd_nxt) as u32
    }

    /// End of what the application has written.
    #[inline(always)]
    pub fn write_seq(self) -> u32 {
        read!(self.0, write_seq) as u32
    }

    /// Next sequence number that is expected.
    #[inline(always)]
    pub fn rcv_nxt(self) -> u32 {
        read!(self.0, rcv_nxt) as u32
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

    /// When TCP last handled a segment of this socket: `CLOCK_MONOTONIC`, microseconds.
    #[inline(always)]
    pub fn mstamp_us(self) -> u64 {
        read!(self.0, tcp_mstamp)
    }

    /// When the peer was last heard, jiffies: at the last ACK or at the last data, whichever is later.
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

    /// The present retransmission timeout, jiffies.
    #[inline(always)]
    pub fn rto(self) -> u32 {
        read!(self.0, icsk_rto) as u32
    }

    /// The largest that it may become, jiffies; 0 where the kernel has one limit for all sockets.
    #[inline(always)]
    pub fn rto_max(self) -> u32 {
        read!(self.0, icsk_rto_max) as u32
    }

    /// How often it was doubled.
    #[inline(always)]
    pub fn backoff(self) -> u8 {
        read!(self.0, icsk_backoff) as u8
    }
}
