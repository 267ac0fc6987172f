//! Which events are wanted, decided before the ring. What is not asked for costs nothing: the
//! verifier knows the settings and removes the rest.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LpmTrie, lpm_trie::Key},
};
use keepalive_ebpf::{
    config::{PORT_WORDS, filter},
    wire::{Sixteen, owner_from},
};

use crate::{
    mem::config,
    record::{Ends, Sock},
    track,
};

/// Thread group ids wanted.
#[map]
static PIDS: HashMap<u32, u8> = HashMap::with_max_entries(1024, 0);

/// One bit a port.
#[map]
static LPORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);
#[map]
static RPORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// Prefixes wanted, IPv4 in its v4-mapped form. This map type always allocates at insertion, which
/// only the user half does.
#[map]
static NETS: LpmTrie<Sixteen, u8> =
    LpmTrie::with_max_entries(1024, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

#[inline(always)]
pub fn wants_kind(kind: u16) -> bool {
    config!(events) & (1 << kind) != 0
}

/// What the ends of a connection decide.
const OF_ENDS: u32 = filter::FAMILY | filter::LPORT | filter::RPORT | filter::ADDR;

/// Cheapest tests first. The ends are read only where a filter asks for them; the record's are read
/// later, into the record.
#[inline(always)]
pub fn wants(sock: Sock) -> bool {
    let set = config!(filters);
    if set & OF_ENDS != 0 && !wants_ends(set, &sock.ends()) {
        return false;
    }
    if set & filter::NETNS != 0 && sock.net().inum() != config!(netns) {
        return false;
    }
    // Who connected a socket mostly keeps it. Who accepted one mostly gives it to a child, so that,
    // and an owner not known here, is left to the user half, which reads descriptors.
    if set & filter::PID != 0
        && let Some(tracked) = track::get(sock)
        && tracked.owner_from == owner_from::CONNECT
        && PIDS.get_ptr(tracked.task.tgid).is_none()
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
