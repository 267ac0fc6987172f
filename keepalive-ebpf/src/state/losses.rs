//! Counts what could not be kept or sent, so that the user half can tell.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use keepalive_ebpf::wire::Losses;

/// One value for each CPU.
#[map]
static LOSSES: PerCpuArray<Losses> = PerCpuArray::with_max_entries(1, 0);

/// A message of this kind found no room in the ring.
#[inline(always)]
pub fn count_lost(kind: u16) {
    count(usize::from(kind));
}

/// A socket or a process found no room in its table.
#[inline(always)]
pub fn count_untracked() {
    count(Losses::UNTRACKED);
}

/// Stable Rust has no name for BPF's atomic addition. A counter for each kind does without: a softirq
/// may interrupt a process here, but not with an event of the same program.
#[inline(always)]
fn count(slot: usize) {
    if let Some(losses) = LOSSES.get_ptr_mut(0) {
        // SAFETY: a map value of this CPU, which outlives the program.
        let losses = unsafe { &mut *losses };
        if let Some(count) = losses.0.get_mut(slot % Losses::SLOTS) {
            *count += 1;
        }
    }
}
