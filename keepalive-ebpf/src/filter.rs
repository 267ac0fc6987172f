//! Which sockets and events the user wants to see. Decided before anything is written to the ring. A
//! filter that is not set costs nothing: the verifier knows the settings and removes its code.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LpmTrie, lpm_trie::Key},
};
use keepalive_ebpf::wire::{
    Sixteen,
    config::{PORT_WORDS, filter},
    owner_from,
};

use crate::{
    kernel::{Ends, Sock, memory::config},
    state::socket_state,
};

/// Thread group ids that are wanted.
#[map]
static PIDS: HashMap<u32, u8> = HashMap::with_max_entries(1024, 0);

/// Local ports that are wanted: one bit for each.
#[map]
static LPORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// Remote ports that are wanted: one bit for each.
#[map]
static RPORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// Networks that are wanted, IPv4 in its v4-mapped form. This type of map always allocates at insertion,
/// so only the user half inserts.
#[map]
static NETS: LpmTrie<Sixteen, u8> =
    LpmTrie::with_max_entries(1024, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// Events of this kind are wanted.
#[inline(always)]
pub fn wants_kind(kind: u16) -> bool {
    config!(events) & (1 << kind) != 0
}

/// The filters that need the ends of the connection.
const OF_ENDS: u32 = filter::FAMILY | filter::LPORT | filter::RPORT | filter::ADDR;

/// Events of this socket are wanted. The cheapest tests come first. The ends are read only where a
/// filter asks for them; for the record they are read again later, straight into the record.
#[inline(always)]
pub fn wants(sock: Sock) -> bool {
    let set = config!(filters);
    if set & OF_ENDS != 0 && !wants_ends(set, &sock.ends()) {
        return false;
    }
    if set & filter::NETNS != 0 && sock.net().inum() != config!(netns) {
        return false;
    }
    // A process that connected a socket mostly keeps it. A process that accepted one mostly gives it to
    // a child. That case, and an owner that is not known here, is left to the user half, which reads
    // descriptors.
    if set & filter::PID != 0
        && let Some(state) = socket_state::get(sock)
        && state.owner_from == owner_from::CONNECT
        && PIDS.get_ptr(state.task.tgid).is_none()
    {
        return false;
    }
    set & filter::CGROUP == 0 || sock.in_cgroup(config!(cgroup))
}

#[inline(always)]
fn wants_ends(set: u32, ends: &Ends) -> bool {
    if set & filter::FAMILY != 0 && u32::from(ends.family) != config!(family) {
        return false;
    }
    if set & filter::LPORT != 0 && !has_port(&LPORTS, ends.lport) {
        return false;
    }
    if set & filter::RPORT != 0 && !has_port(&RPORTS, ends.rport) {
        return false;
    }
    set & filter::ADDR == 0
        || NETS.get(Key::new(128, ends.laddr)).is_some()
        || NETS.get(Key::new(128, ends.raddr)).is_some()
}

#[inline(always)]
fn has_port(ports: &Array<u64>, port: u16) -> bool {
    match ports.get(u32::from(port) / 64) {
        Some(word) => word & (1 << (port % 64)) != 0,
        None => false,
    }
}
