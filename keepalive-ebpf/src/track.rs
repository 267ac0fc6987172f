//! What is remembered of a socket between its events: who made it, its last probe, its death.
//!
//! A socket's address is reused, so an entry begins when the connection does and ends at
//! `tcp_destroy_sock`; births clear what a missed end may have left.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::HashMap};
use keepalive_ebpf::{
    config::TRACKED_SOCKETS,
    wire::{kind, owner_from},
};

use crate::{
    emit, family, filter,
    mem::{boot_ns, now_ns},
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
    /// When that task did what `owner_from` says, `CLOCK_BOOTTIME` nanoseconds.
    pub since_ns: u64,
    /// 0 until seen.
    pub inode: u64,
    /// When the last probe left, `CLOCK_MONOTONIC` nanoseconds.
    pub probe_ns: u64,
    /// When the connection died, likewise; 0 while it lives, and once the error was received.
    pub died_ns: u64,
    /// The last probe's moment in jiffies, to compare with TCP's stamps.
    pub probe_jiffies: u32,
    /// `segs_in` at that moment: one more means that the answer is all that arrived.
    pub segs_in: u32,
    /// Probes unanswered, counted past the kernel's `u8`.
    pub unanswered: u32,
    /// One of [`owner_from`].
    pub owner_from: u8,
    /// 1 once user space was told of this socket.
    pub told: u8,
    pub reserved: [u8; 2],
}

/// A socket of which nothing is known yet.
static NEW: Tracked = Tracked {
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
        && tracked.died_ns == 0
    {
        return;
    }
    begin(sock);
    note_task(sock, from, inode);
}

/// The current task was given a descriptor of the socket.
#[inline(always)]
pub fn pass(sock: Sock) {
    if get_or_begin(sock).is_some() {
        note_task(sock, owner_from::PASSED, sock.inode());
    }
}

/// The current task shuts the connection down, or closes it.
#[inline(always)]
pub fn close(sock: Sock) {
    let inode = sock.inode();
    // Only the process that closes still sees a file here; a timer or the peer's FIN may come later.
    if inode == 0 {
        return;
    }
    // With references left it was shutdown, and the socket is held on.
    let is_last = sock.refs() == 0;
    match get(sock) {
        Some(tracked) if !is_last && tracked.owner_from != owner_from::UNKNOWN => {
            tracked.inode = inode;
            return;
        }
        Some(_) => {}
        None => begin(sock),
    }
    note_task(sock, owner_from::CLOSE, inode);
}

/// The connection is dead, and no process knows yet.
#[inline(always)]
pub fn die(sock: Sock) {
    if filter::wants_kind(kind::NOTICED)
        && let Some(tracked) = get_or_begin(sock)
    {
        tracked.died_ns = now_ns();
    }
}

#[inline(always)]
fn note_task(sock: Sock, from: u8, inode: u64) {
    if let Some(tracked) = get(sock)
        && tracked.task.become_current()
    {
        tracked.inode = inode;
        tracked.owner_from = from;
        tracked.since_ns = boot_ns();
        family::acts(tracked.task.tgid);
    }
}

/// The address is free for another socket.
#[inline(always)]
pub fn end(sock: Sock) {
    // Most sockets were never followed.
    let _ = SOCKETS.remove(sock.0);
}

/// The same, and user space may forget what it was told.
#[inline(always)]
pub fn end_and_tell(sock: Sock) {
    if let Some(tracked) = get(sock) {
        if tracked.told != 0 {
            emit::ended(tracked.inode);
        }
        end(sock);
    }
}

#[inline(always)]
fn begin(sock: Sock) {
    // By reference: the helper reads it where it is, without a copy on the stack.
    let new: &Tracked = &NEW;
    if SOCKETS.insert(sock.0, new, u64::from(BPF_ANY)).is_err() {
        emit::count_untracked();
    }
}
