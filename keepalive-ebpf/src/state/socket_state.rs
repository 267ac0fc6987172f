//! What is remembered of a socket between its events: its owner, its last probe, its death.
//!
//! The kernel reuses the address of a socket. So an entry begins when the connection does and ends at
//! `tcp_destroy_sock`. If an end was missed, the next connection at the address clears the entry.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::HashMap};
use keepalive_ebpf::wire::{config::TRACKED_SOCKETS, owner_from};

use crate::{
    kernel::{
        Sock, Task,
        memory::{boot_ns, now_ns},
    },
    state::{losses, processes},
};

/// By the socket's address. Preallocated, because a map that allocates at run time is not safe in
/// tracing programs.
#[map]
static SOCKETS: HashMap<u64, SocketState> = HashMap::with_max_entries(TRACKED_SOCKETS, 0);

/// What is remembered of one socket.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SocketState {
    /// The owner: the process that did what `owner_from` says.
    pub task: Task,
    /// When it did that: `CLOCK_BOOTTIME`, nanoseconds.
    pub since_ns: u64,
    /// Inode number, 0 until it is known.
    pub inode: u64,
    /// When the last probe left: `CLOCK_MONOTONIC`, nanoseconds.
    pub probe_ns: u64,
    /// When the connection died: `CLOCK_MONOTONIC`, nanoseconds. 0 while it lives, and 0 again once a
    /// process has received the error.
    pub died_ns: u64,
    /// When the last probe left, in jiffies, to compare with TCP's stamps.
    pub probe_jiffies: u32,
    /// `segs_in` when the last probe left. One more means that only the answer has arrived.
    pub segs_in: u32,
    /// Unanswered probes, counted further than the kernel's `u8` can.
    pub unanswered: u32,
    /// One of [`owner_from`].
    pub owner_from: u8,
    /// 1 once the user half was sent an event of this socket.
    pub told: u8,
    /// Zero: stands where padding would be.
    pub reserved: [u8; 2],
}

/// A socket of which nothing is known yet.
static NEW: SocketState = SocketState {
    task: Task::NONE,
    since_ns: 0,
    inode: 0,
    probe_ns: 0,
    died_ns: 0,
    probe_jiffies: 0,
    segs_in: 0,
    unanswered: 0,
    owner_from: owner_from::UNKNOWN,
    told: 0,
    reserved: [0; 2],
};

/// What is remembered of the socket.
#[inline(always)]
pub fn get(sock: Sock) -> Option<&'static mut SocketState> {
    // SAFETY: the entry lives in a preallocated map, so its address stays valid. The socket's own lock
    // keeps its events apart. If another socket takes the entry over meanwhile, this shows that
    // socket's data, but no other memory.
    SOCKETS
        .get_ptr_mut(sock.0)
        .map(|entry| unsafe { &mut *entry })
}

/// The same; begins an entry if there is none. `None` when the table is full, which is counted.
#[inline(always)]
pub fn get_or_begin(sock: Sock) -> Option<&'static mut SocketState> {
    if let Some(state) = get(sock) {
        return Some(state);
    }
    begin(sock);
    get(sock)
}

/// The current task connects or accepts the socket. An entry at this address belongs to an earlier
/// socket, unless it says the same of this one already: a re-entrancy guard calls this a second time.
#[inline(always)]
pub fn note_owner(sock: Sock, from: u8) {
    let inode = sock.inode();
    if let Some(state) = get(sock)
        && state.owner_from == from
        && state.inode == inode
        && state.died_ns == 0
    {
        return;
    }
    begin(sock);
    note_task(sock, from, inode);
}

/// The current task was given a descriptor of the socket.
#[inline(always)]
pub fn note_receiver(sock: Sock) {
    if get_or_begin(sock).is_some() {
        note_task(sock, owner_from::PASSED, sock.inode());
    }
}

/// The current task closes the socket, or shuts the connection down.
#[inline(always)]
pub fn note_close(sock: Sock) {
    let (inode, refs) = sock.inode_and_refs();
    // The state may also change later, by a timer or by the peer's FIN, and then in another task. Only
    // the process that closes finds a file here.
    if inode == 0 {
        return;
    }
    // References are left after shutdown: then the socket is still held.
    let is_last = refs == 0;
    match get(sock) {
        Some(state) if !is_last && state.owner_from != owner_from::UNKNOWN => {
            state.inode = inode;
            return;
        }
        Some(_) => {}
        None => begin(sock),
    }
    note_task(sock, owner_from::CLOSE, inode);
}

/// The connection died, and no process has received the error yet.
#[inline(always)]
pub fn note_death(sock: Sock) {
    if let Some(state) = get_or_begin(sock) {
        state.died_ns = now_ns();
    }
}

/// The socket is gone, and its address is free for another.
#[inline(always)]
pub fn forget(sock: Sock) {
    // Most sockets have no entry.
    let _ = SOCKETS.remove(sock.0);
}

#[inline(always)]
fn note_task(sock: Sock, from: u8, inode: u64) {
    if let Some(state) = get(sock)
        && state.task.become_current()
    {
        state.inode = inode;
        state.owner_from = from;
        state.since_ns = boot_ns();
        processes::note_actor(state.task.tgid);
    }
}

#[inline(always)]
fn begin(sock: Sock) {
    // By reference: the helper reads it where it is, without a copy on the stack.
    let new: &SocketState = &NEW;
    if SOCKETS.insert(sock.0, new, u64::from(BPF_ANY)).is_err() {
        losses::count_untracked();
    }
}
