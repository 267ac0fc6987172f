//! What is remembered of a socket between its events: who made it, and its last probe.
//!
//! A socket's address is reused, so an entry begins when the connection does and ends at
//! `tcp_destroy_sock`; births clear what a missed end may have left.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::HashMap};
use keepalive_ebpf::{config::TRACKED_SOCKETS, wire::owner_from};

use crate::{
    emit,
    record::{Sock, Task},
};

/// Preallocated: a map that allocates at run time is unsafe in tracing programs.
#[map]
static SOCKETS: HashMap<u64, Tracked> = HashMap::with_max_entries(TRACKED_SOCKETS, 0);

/// One socket's memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Tracked {
    pub task: Task,
    /// 0 until seen.
    pub inode: u64,
    /// When the last probe left, `CLOCK_MONOTONIC` nanoseconds.
    pub probe_ns: u64,
    /// The same moment in jiffies, to compare with TCP's stamps.
    pub probe_jiffies: u32,
    /// `segs_in` at that moment: one more means that the answer is all that arrived.
    pub segs_in: u32,
    /// Probes unanswered, counted past the kernel's `u8`.
    pub unanswered: u32,
    /// One of [`owner_from`].
    pub owner_from: u8,
    pub reserved: [u8; 3],
}

/// A socket of which nothing is known yet.
static NEW: Tracked = Tracked {
    task: Task::NONE,
    inode: 0,
    probe_ns: 0,
    probe_jiffies: 0,
    segs_in: 0,
    unanswered: 0,
    owner_from: owner_from::UNKNOWN,
    reserved: [0; 3],
};

/// What is remembered of the socket.
#[inline(always)]
pub fn get(sock: Sock) -> Option<&'static mut Tracked> {
    // SAFETY: the entry lives in a preallocated map, so the address stays valid; a socket's events
    // are serialised by its own lock, and an entry taken over by another socket in between can
    // only show that socket's data, never other memory.
    SOCKETS
        .get_ptr_mut(sock.0)
        .map(|entry| unsafe { &mut *entry })
}

/// The same, begun if there is nothing yet; nothing when the table is full, which is counted.
#[inline(always)]
pub fn get_or_begin(sock: Sock) -> Option<&'static mut Tracked> {
    if let Some(tracked) = get(sock) {
        return Some(tracked);
    }
    begin(sock);
    get(sock)
}

/// A connection begins, or is accepted, with the current task as evidence. What stands at this
/// address is another's, unless it says the same of this very socket.
#[inline(always)]
pub fn own(sock: Sock, from: u8) {
    let inode = sock.inode();
    if let Some(tracked) = get(sock)
        && tracked.owner_from == from
        && tracked.inode == inode
    {
        return;
    }
    begin(sock);
    note_task(sock, from, inode);
}

/// The last reference is dropped by the current task: remember it if no better owner is known.
#[inline(always)]
pub fn close(sock: Sock) {
    let inode = sock.inode();
    // Only the process that closes still sees a file here; a timer or the peer's FIN may come later.
    if inode == 0 {
        return;
    }
    match get(sock) {
        Some(tracked) if tracked.owner_from != owner_from::UNKNOWN => {
            tracked.inode = inode;
            return;
        }
        Some(_) => {}
        None => begin(sock),
    }
    note_task(sock, owner_from::CLOSE, inode);
}

#[inline(always)]
fn note_task(sock: Sock, from: u8, inode: u64) {
    if let Some(tracked) = get(sock)
        && tracked.task.become_current()
    {
        tracked.inode = inode;
        tracked.owner_from = from;
    }
}

/// The address is free for another socket.
#[inline(always)]
pub fn end(sock: Sock) {
    // Most sockets were never followed.
    let _ = SOCKETS.remove(sock.0);
}

#[inline(always)]
fn begin(sock: Sock) {
    // By reference: the helper reads it where it is, without a copy on the stack.
    let new: &Tracked = &NEW;
    if SOCKETS.insert(sock.0, new, u64::from(BPF_ANY)).is_err() {
        emit::count_untracked();
    }
}
