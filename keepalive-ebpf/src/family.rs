//! What is remembered of processes: who has sockets that matter, who is whose child, and who used a
//! shared socket last.

use aya_ebpf::{
    bindings::BPF_ANY,
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use keepalive_ebpf::{
    config::{SHARED_SOCKETS, TRACKED_PROCESSES},
    wire::Lineage,
};

use crate::{emit, record::Sock};

/// It connected, accepted or was given a socket.
const ACTED: u32 = 1;

/// Processes whose children, name and end matter, by thread group id: [`ACTED`], or the value with
/// which user space says that it named one as an owner.
#[map]
static PROCESSES: HashMap<u32, u32> = HashMap::with_max_entries(TRACKED_PROCESSES, 0);

/// Children of those, and theirs. User space reads it to tell an inherited descriptor from one that
/// came another way. The longest ago forgotten makes room.
#[map]
static LINEAGE: LruHashMap<u32, Lineage> = LruHashMap::with_max_entries(TRACKED_PROCESSES, 0);

/// Sockets that several processes hold, by address, and which of them used it last. User space
/// enters them: only it knows how many hold one.
#[map]
static SHARED: HashMap<u64, u32> = HashMap::with_max_entries(SHARED_SOCKETS, 0);

/// 1 once [`SHARED`] holds anything, so that until then no call pays for a look at it.
#[map]
static ANY_SHARED: Array<u32> = Array::with_max_entries(1, 0);

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

/// User space named this process as an owner.
#[inline(always)]
pub fn is_named(interest: u32) -> bool {
    interest != ACTED
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

/// A process uses the socket.
#[inline(always)]
pub fn touch(sock: Sock, tgid: u32) {
    if !any_shared() {
        return;
    }
    if let Some(user) = SHARED.get_ptr_mut(sock.0) {
        // SAFETY: a value of a preallocated map; two processes may write at once, and then either
        // is right.
        unsafe { *user = tgid };
    }
}

/// Who used the socket last; 0 if that is not watched.
#[inline(always)]
pub fn last_user(sock: Sock) -> u32 {
    if !any_shared() {
        return 0;
    }
    match SHARED.get_ptr(sock.0) {
        // SAFETY: as in `touch`.
        Some(user) => unsafe { *user },
        None => 0,
    }
}

/// The socket is gone.
#[inline(always)]
pub fn unshare(sock: Sock) {
    if any_shared() {
        let _ = SHARED.remove(sock.0);
    }
}

#[inline(always)]
fn any_shared() -> bool {
    ANY_SHARED.get(0).is_some_and(|any| *any != 0)
}
