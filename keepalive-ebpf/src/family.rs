//! What is remembered of processes: who has sockets that matter, who is whose child, and who used a
//! socket last that others hold too.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::bpf_get_current_pid_tgid,
    macros::map,
    maps::{HashMap, LruHashMap},
};
use keepalive_ebpf::{
    config::{NAMED, SHARED_SOCKETS, TRACKED_PROCESSES},
    wire::Lineage,
};

use crate::{emit, record::Sock};

/// It connected, accepted or was given a socket.
const ACTED: u32 = 1;

/// Processes whose children, name and end matter, by thread group id: [`ACTED`] or [`NAMED`].
#[map]
static PROCESSES: HashMap<u32, u32> = HashMap::with_max_entries(TRACKED_PROCESSES, 0);

/// Children of those, and theirs. User space reads it to tell an inherited descriptor from one that
/// came another way. The longest ago forgotten makes room.
#[map]
static LINEAGE: LruHashMap<u32, Lineage> = LruHashMap::with_max_entries(TRACKED_PROCESSES, 0);

/// Keepalive sockets to which there is more than one reference, by address, and who used them last.
/// The longest ago used makes room.
#[map]
static SHARED: LruHashMap<u64, u32> = LruHashMap::with_max_entries(SHARED_SOCKETS, 0);

/// A process acts on a socket.
#[inline(always)]
pub fn acts(tgid: u32) {
    if PROCESSES.get_ptr(tgid).is_none()
        && PROCESSES.insert(tgid, ACTED, u64::from(BPF_ANY)).is_err()
    {
        emit::count_untracked();
    }
}

/// What matters of a process; nothing if it does not.
#[inline(always)]
pub fn interest(tgid: u32) -> Option<u32> {
    PROCESSES.get_ptr(tgid).map(|interest| {
        // SAFETY: a value of a preallocated map, always valid to read.
        unsafe { *interest }
    })
}

/// User space names this process as an owner; false if there is no room for it.
#[inline(always)]
pub fn watch(tgid: u32) -> bool {
    PROCESSES.insert(tgid, NAMED, u64::from(BPF_ANY)).is_ok()
}

/// User space named this process as an owner.
#[inline(always)]
pub fn is_named(interest: u32) -> bool {
    interest == NAMED
}

/// A child begins; what mattered of its parent matters of it.
#[inline(always)]
pub fn begins(tgid: u32, interest: u32, lineage: &Lineage) {
    if PROCESSES
        .insert(tgid, interest, u64::from(BPF_ANY))
        .is_err()
    {
        emit::count_untracked();
    }
    let _ = LINEAGE.insert(tgid, lineage, u64::from(BPF_ANY));
}

/// A process is no more.
#[inline(always)]
pub fn ends(tgid: u32) {
    let _ = PROCESSES.remove(tgid);
}

/// The current task uses a socket with keepalive. With one reference there is one holder, and nothing
/// to note; with more they may be another holder's, or only calls under way.
#[inline(always)]
pub fn touch(sock: Sock) {
    if !sock.is_tcp() || sock.refs() <= 1 {
        return;
    }
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    match SHARED.get_ptr_mut(sock.0) {
        // SAFETY: a value of a preallocated map; two processes may write at once, and then either
        // is right.
        Some(user) => unsafe { *user = tgid },
        // Without room for it, the maker or the oldest is named.
        None => drop(SHARED.insert(sock.0, tgid, u64::from(BPF_ANY))),
    }
}

/// Who used the socket last; 0 if that was not noted.
#[inline(always)]
pub fn last_user(sock: Sock) -> u32 {
    match SHARED.get_ptr(sock.0) {
        // SAFETY: as in `touch`.
        Some(user) => unsafe { *user },
        None => 0,
    }
}

/// The socket is gone.
#[inline(always)]
pub fn unshare(sock: Sock) {
    let _ = SHARED.remove(sock.0);
}
