//! Fills the messages of the ring.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_stack};
use keepalive_ebpf::wire::{
    NO_RTT, NOTICED_SIZE, Noticed, RECORD_SIZE, Record, STACK_DEPTH, Sixteen, call, flag, kind,
};

use crate::{
    kernel::{Process, Sock, memory::now_ns},
    state::{last_users, socket_state},
};

/// What a hook knows about an event beyond what the socket itself tells.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Moment {
    /// One of [`kind`].
    pub kind: u16,
    /// TCP state before the event.
    pub state: u8,
    /// The probe found a route.
    pub sent: bool,
    /// Unanswered probes.
    pub unanswered: u32,
    /// Time from the last probe to its answer: microseconds, or [`NO_RTT`].
    pub rtt_us: u32,
}

impl Moment {
    /// An event for which the socket's own count of unanswered probes is the right one.
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

/// Writes every field of `record`. It is memory of the ring: a field that is not written would show
/// what stood there before.
#[inline(always)]
pub fn fill(record: &mut Record, moment: &Moment, sock: Sock) {
    // The order serves the verifier. It checks the rest of a program once for each state that it can
    // tell apart. After a branch, what the branch decided is written into the record at once, because
    // there the verifier forgets it. For the same reason there is no branch between the filters and the
    // reservation of the record: the verifier would number the reservation differently on each path.
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
        record.user_tgid = last_users::last_user(sock);
    }
    let net = sock.net();
    record.keepidle = sock.keepidle(net);
    record.keepintvl = sock.keepintvl(net);
    record.keepcnt = sock.keepcnt(net);

    record.kind = moment.kind;
    record.size = RECORD_SIZE as u16;
    record.time_ns = now_ns();
    record.netns = net.inum();
    record.state = moment.state;
    record.user_timeout = sock.user_timeout();
    record.silence = sock.silence();
    record.unanswered = moment.unanswered;
    record.retransmits = sock.retransmits();
    record.rtt_us = moment.rtt_us;
    record.err = sock.err();
    record.snd_una = sock.snd_una();
    record.snd_nxt = sock.snd_nxt();
    record.write_seq = sock.write_seq();
    record.retries2 = net.retries2();

    // Last, because from here on the verifier checks everything twice: with a table entry and without.
    fill_owner(record, sock);
}

/// Writes who made the socket, as far as that is remembered. A closed socket has no inode any more, so the
/// remembered inode is written for it.
#[inline(always)]
fn fill_owner(record: &mut Record, sock: Sock) {
    if let Some(state) = socket_state::get(sock) {
        if record.inode == 0 {
            record.inode = state.inode;
        } else {
            state.inode = record.inode;
        }
        state.told = 1;
        record.owner_tgid = state.task.tgid;
        record.owner_from = state.owner_from;
        record.owner_start_ns = state.task.start_ns;
        record.owner_since_ns = state.since_ns;
        record.owner_comm = state.task.comm;
    } else {
        record.owner_tgid = 0;
        record.owner_from = 0;
        record.owner_start_ns = 0;
        record.owner_since_ns = 0;
        record.owner_comm = Sixteen::default();
    }
}

/// Writes every field of `noticed`: the current task receives `err` of a connection that died.
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
    noticed.time_ns = now_ns();
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
        // SAFETY: the destination is as long as the third argument says. The helper clears the part
        // that it does not fill.
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
