//! What is remembered of processes: which have to do with sockets, and which is the child of which.

use aya_ebpf::{
    bindings::BPF_ANY,
    macros::map,
    maps::{HashMap, LruHashMap},
};
use keepalive_ebpf::wire::{
    Lineage,
    config::{TRACKED_PROCESSES, WATCHED},
};

use crate::state::losses;

/// The process connected, accepted or was given a socket.
const ACTED: u32 = 1;

/// Processes whose children, names and end matter, by thread group id. The value is [`ACTED`] or
/// [`WATCHED`].
#[map]
static PROCESSES: HashMap<u32, u32> = HashMap::with_max_entries(TRACKED_PROCESSES, 0);

/// Descendants of those. The user half reads this to tell an inherited descriptor from one that came in
/// another way. When it is full, the process that was looked up least recently makes room.
#[map]
static LINEAGE: LruHashMap<u32, Lineage> = LruHashMap::with_max_entries(TRACKED_PROCESSES, 0);

/// A process acts on a socket.
#[inline(always)]
pub fn note_actor(tgid: u32) {
    if PROCESSES.get_ptr(tgid).is_none()
        && PROCESSES.insert(tgid, ACTED, u64::from(BPF_ANY)).is_err()
    {
        losses::count_untracked();
    }
}

/// Why a process matters: [`ACTED`] or [`WATCHED`]. `None` if it does not.
#[inline(always)]
pub fn interest(tgid: u32) -> Option<u32> {
    PROCESSES.get_ptr(tgid).map(|interest| {
        // SAFETY: a value of a preallocated map, always valid to read.
        unsafe { *interest }
    })
}

/// The user half asks for notices of this process. False if there is no room for it.
#[inline(always)]
pub fn watch(tgid: u32) -> bool {
    PROCESSES.insert(tgid, WATCHED, u64::from(BPF_ANY)).is_ok()
}

/// The user half asked for notices of this process.
#[inline(always)]
pub fn is_watched(interest: u32) -> bool {
    interest == WATCHED
}

/// A child begins. It inherits the parent's interest.
#[inline(always)]
pub fn begin(tgid: u32, interest: u32, lineage: &Lineage) {
    if PROCESSES
        .insert(tgid, interest, u64::from(BPF_ANY))
        .is_err()
    {
        losses::count_untracked();
    }
    let _ = LINEAGE.insert(tgid, lineage, u64::from(BPF_ANY));
}

/// A process has ended, or the user half no longer asks for it.
#[inline(always)]
pub fn forget(tgid: u32) {
    let _ = PROCESSES.remove(tgid);
}
