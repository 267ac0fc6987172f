//! The sole writer of the ring. What does not fit is counted, so that user space can say it.

use aya_ebpf::{
    macros::map,
    maps::{PerCpuArray, RingBuf},
};
use keepalive_ebpf::wire::{Drops, Record};

use crate::{
    filter,
    record::{self, Moment, Sock},
};

/// Sized by the user half at load.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// What could not be kept or sent.
#[map]
static DROPS: PerCpuArray<Drops> = PerCpuArray::with_max_entries(1, 0);

/// Sends the event if the filters want it.
///
/// A function of its own in BPF too: inlined at every hook it would be loaded once for each.
#[inline(never)]
pub fn event(moment: &Moment, sock: Sock) {
    if !filter::wants_kind(moment.kind) {
        return;
    }
    let ends = sock.ends();
    if !filter::wants(sock, &ends) {
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<Record>(0) else {
        count(usize::from(moment.kind));
        return;
    };
    // SAFETY: the entry is as large and as aligned as a record, and `fill` writes every field
    // before it is submitted; all bit patterns are valid for its integers.
    let record = unsafe { &mut *entry.as_mut_ptr() };
    record::fill(record, moment, sock, &ends);
    entry.submit(0);
}

/// A socket found no room in the table.
#[inline(always)]
pub fn count_untracked() {
    count(Drops::UNTRACKED);
}

/// BPF has no atomic addition that stable Rust can name, so each kind has a counter of its own: a
/// softirq may interrupt a process here, but not with an event of the same program.
#[inline(always)]
fn count(slot: usize) {
    if let Some(drops) = DROPS.get_ptr_mut(0) {
        // SAFETY: a map value of this CPU, which outlives the program.
        let drops = unsafe { &mut *drops };
        if let Some(count) = drops.0.get_mut(slot) {
            *count += 1;
        }
    }
}
