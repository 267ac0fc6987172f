//! From a `struct sock` to a wire record. The only room that reads the kernel's socket structures.

mod owner;
mod row;
mod sock;

pub use owner::Task;
pub use row::row;
pub use sock::{Ends, Sock, Timer, state};

use keepalive_ebpf::wire::{NO_RTT, RECORD_SIZE, Record, flag};

use crate::track;

/// What a hook knows beyond the socket itself.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Moment {
    pub kind: u16,
    /// State before the event.
    pub state: u8,
    /// The probe found a route.
    pub sent: bool,
    pub unanswered: u32,
    pub rtt_us: u32,
}

impl Moment {
    /// An event that has nothing to say of probes beyond what the socket counts.
    #[inline(always)]
    pub fn of(kind: u16, state: u8, sock: Sock) -> Self {
        Self {
            kind,
            state,
            sent: false,
            unanswered: sock.probes_out(),
            rtt_us: NO_RTT,
        }
    }
}

/// Fills `record` whole: it is ring memory, and what is not written would be another's data.
#[inline(always)]
pub fn fill(record: &mut Record, moment: &Moment, sock: Sock, ends: &Ends) {
    let net = sock.net();
    let settings = sock.settings(net);

    record.kind = moment.kind;
    record.size = RECORD_SIZE as u16;
    record.time_ns = crate::mem::now_ns();
    record.inode = sock.inode();
    record.laddr = ends.laddr;
    record.raddr = ends.raddr;
    record.netns = net.inum();
    record.family = ends.family;
    record.state = moment.state;
    record.flags = ends.flags;
    if sock.is_dead() {
        record.flags |= flag::ORPHAN;
    }
    if moment.sent {
        record.flags |= flag::SENT;
    }
    record.lport = ends.lport;
    record.rport = ends.rport;
    record.keepidle = settings.keepidle;
    record.keepintvl = settings.keepintvl;
    record.keepcnt = settings.keepcnt;
    record.user_timeout = sock.user_timeout();
    record.silence = sock.silence();
    record.unanswered = moment.unanswered;
    record.retransmits = sock.retransmits();
    record.rtt_us = moment.rtt_us;
    record.err = sock.err();
    record.err_soft = sock.err_soft();
    record.snd_una = sock.snd_una();
    record.snd_nxt = sock.snd_nxt();
    record.write_seq = sock.write_seq();
    record.retries2 = net.retries2();
    record.reserved = 0;

    // Last: the verifier walks on once with an entry and once without.
    if let Some(tracked) = track::get(sock) {
        if record.inode == 0 {
            record.inode = tracked.inode;
        }
        record.owner_tgid = tracked.task.tgid;
        record.owner_from = tracked.owner_from;
        record.owner_start_ns = tracked.task.start_ns;
        record.owner_comm = tracked.task.comm;
    } else {
        record.owner_tgid = 0;
        record.owner_from = 0;
        record.owner_start_ns = 0;
        record.owner_comm = [0; 16];
    }
}
