//! From a `struct sock` to a wire record. The only room that reads the kernel's socket structures.

mod ends;
mod known;
mod owner;
mod row;
mod sock;

pub use ends::Ends;
pub use known::KnownSock;
pub use owner::{Process, Task};
pub use row::row;
pub use sock::{Sock, Timer, state};

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_stack};
use keepalive_ebpf::wire::{
    NO_RTT, NOTICE_SIZE, NOTICED_SIZE, Notice, Noticed, RECORD_SIZE, Record, STACK_DEPTH, Sixteen,
    call, flag, kind,
};

use crate::{family, track};

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
pub fn fill(record: &mut Record, moment: &Moment, sock: Sock) {
    // What a branch decided goes into the record at once, where the verifier forgets which branch it
    // was; what it still knows it walks on with once for each. For the same reason nothing branches
    // between a record's reservation, which it numbers, and the filters.
    let ends = sock.ends();
    record.laddr = ends.laddr;
    record.raddr = ends.raddr;
    record.lport = ends.lport;
    record.rport = ends.rport;
    record.family = ends.family;
    record.flags = ends.flags;
    if sock.is_dead() {
        record.flags |= flag::ORPHAN;
    }
    if moment.sent {
        record.flags |= flag::SENT;
    }
    (record.inode, record.refs) = sock.inode_and_refs();
    record.user_tgid = 0;
    if record.refs > 1 {
        record.user_tgid = family::last_user(sock);
    }
    let net = sock.net();
    record.keepidle = sock.keepidle(net);
    record.keepintvl = sock.keepintvl(net);
    record.keepcnt = sock.keepcnt(net);

    record.kind = moment.kind;
    record.size = RECORD_SIZE as u16;
    record.time_ns = crate::mem::now_ns();
    record.netns = net.inum();
    record.state = moment.state;
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
        } else {
            tracked.inode = record.inode;
        }
        tracked.told = 1;
        record.owner_tgid = tracked.task.tgid;
        record.owner_from = tracked.owner_from;
        record.owner_start_ns = tracked.task.start_ns;
        record.owner_since_ns = tracked.since_ns;
        record.owner_comm = tracked.task.comm;
    } else {
        record.owner_tgid = 0;
        record.owner_from = 0;
        record.owner_start_ns = 0;
        record.owner_since_ns = 0;
        record.owner_comm = Sixteen::default();
    }
}

/// The current task receives `err` of a connection that died. Fills `noticed` whole.
#[inline(always)]
pub fn fill_noticed(
    noticed: &mut Noticed,
    inode: u64,
    died_ns: u64,
    err: u32,
    call: u8,
    ctx: *mut c_void,
) {
    let ids = bpf_get_current_pid_tgid();
    noticed.kind = kind::NOTICED;
    noticed.size = NOTICED_SIZE as u16;
    noticed.tgid = (ids >> 32) as u32;
    noticed.time_ns = crate::mem::now_ns();
    noticed.died_ns = died_ns;
    noticed.inode = inode;
    noticed.comm = Sixteen::default();
    if let Some(leader) = Process::current() {
        leader.read_comm(&mut noticed.comm);
    }
    noticed.tid = ids as u32;
    noticed.err = err;
    noticed.call = call;
    noticed.reserved = [0; 7];
    if call == call::BY_STACK {
        // SAFETY: the destination is as long as said. The helper clears what it does not fill.
        unsafe {
            bpf_get_stack(
                ctx,
                (&raw mut noticed.stack).cast(),
                size_of_val(&noticed.stack) as u32,
                0,
            );
        }
    } else {
        noticed.stack = [0; STACK_DEPTH];
    }
}

/// What becomes of a process. Fills `notice` whole.
#[inline(always)]
pub fn fill_notice(notice: &mut Notice, kind: u16, process: Process, parent: u32, name: u64) {
    notice.kind = kind;
    notice.size = NOTICE_SIZE as u16;
    notice.tgid = process.tgid();
    notice.start_ns = process.start_ns();
    notice.inode = 0;
    notice.parent = parent;
    notice.reserved = 0;
    notice.comm = Sixteen::default();
    owner::read_name(name, &mut notice.comm);
}
