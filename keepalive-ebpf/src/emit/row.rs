//! Makes the rows of the listing.

use keepalive_ebpf::wire::{ROW_SIZE, Row, row::flag};

use crate::kernel::{Sock, state};

/// What the listing shows of a socket in this state.
#[inline(always)]
pub fn row(sock: Sock, state: u8) -> Row {
    let ends = sock.ends();
    let own = sock.own_settings();
    Row {
        inode: sock.inode(),
        laddr: ends.laddr,
        raddr: ends.raddr,
        size: ROW_SIZE as u16,
        family: ends.family,
        state,
        flags: if sock.is_keepopen() {
            flag::KEEPALIVE
        } else {
            0
        },
        backoff: sock.backoff(),
        lport: ends.lport,
        rport: ends.rport,
        reserved: 0,
        netns: sock.net().inum(),
        keepidle: own.keepidle,
        keepintvl: own.keepintvl,
        keepcnt: own.keepcnt,
        user_timeout: sock.user_timeout(),
        timer: sock.keepalive_left(),
        silence: sock.silence(),
        unanswered: sock.probes_out(),
        // In a listener these fields hold its backlog.
        unacked: if state == state::LISTEN {
            0
        } else {
            sock.write_seq().wrapping_sub(sock.snd_una())
        },
        rto: sock.rto(),
        rto_max: sock.rto_max(),
    }
}
