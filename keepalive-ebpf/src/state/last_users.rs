//! Who used a socket last. Noted only for sockets with keepalive that have several references, because
//! otherwise there is one holder.

use aya_ebpf::{
    bindings::BPF_ANY, helpers::bpf_get_current_pid_tgid, macros::map, maps::LruHashMap,
};
use keepalive_ebpf::wire::config::SHARED_SOCKETS;

use crate::kernel::Sock;

/// Thread group id of the last user, by the socket's address. When it is full, the socket that was used
/// least recently makes room.
#[map]
static SHARED: LruHashMap<u64, u32> = LruHashMap::with_max_entries(SHARED_SOCKETS, 0);

/// The current task uses a socket with keepalive. Several references may belong to several holders, or
/// to calls that are running.
#[inline(always)]
pub fn note_use(sock: Sock) {
    if !sock.is_tcp() || sock.refs() <= 1 {
        return;
    }
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    match SHARED.get_ptr_mut(sock.0) {
        // SAFETY: a value of a preallocated map. Two processes may write at once: then either of them
        // is a right answer.
        Some(user) => unsafe { *user = tgid },
        // If there is no room, the user half names the process that made the socket, or the oldest.
        None => drop(SHARED.insert(sock.0, tgid, u64::from(BPF_ANY))),
    }
}

/// Thread group id of the last user; 0 if none was noted.
#[inline(always)]
pub fn last_user(sock: Sock) -> u32 {
    match SHARED.get_ptr(sock.0) {
        // SAFETY: as in `note_use`.
        Some(user) => unsafe { *user },
        None => 0,
    }
}

/// The socket is gone.
#[inline(always)]
pub fn forget(sock: Sock) {
    let _ = SHARED.remove(sock.0);
}
