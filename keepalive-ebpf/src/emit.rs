//! The sole writer of the ring. What does not fit is counted, so that user space can say it.

use core::ffi::c_void;

use aya_ebpf::{
    macros::map,
    maps::{PerCpuArray, RingBuf},
};
use keepalive_ebpf::wire::{Drops, NOTICE_SIZE, Notice, Noticed, Record, Sixteen, kind};

use crate::{
    filter,
    record::{self, Moment, Process, Sock},
    track,
};

/// Sized by the user half at load.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(2 << 20, 0);

/// What could not be kept or sent.
#[map]
static DROPS: PerCpuArray<Drops> = PerCpuArray::with_max_entries(1, 0);

/// Sends the event if the filters want it.
///
/// A function of its own in BPF too: inlined at every hook it would be loaded once for each.
#[inline(never)]
pub fn event(moment: &Moment, sock: Sock) {
    if !filter::wants_kind(moment.kind) || !filter::wants(sock) {
        return;
    }
    if let Some(mut entry) = EVENTS.reserve::<Record>(0) {
        // SAFETY: the entry is as large and as aligned as a record, and `fill` writes every field
        // before it is submitted; all bit patterns are valid for its integers.
        let record = unsafe { &mut *entry.as_mut_ptr() };
        record::fill(record, moment, sock);
        entry.submit(0);
    } else {
        count(usize::from(moment.kind));
    }
    // Last: the verifier walks on once for each way through it. No process can have noticed yet,
    // this hook runs with the socket locked.
    if moment.kind == kind::TIMEOUT || moment.kind == kind::RESET {
        track::die(sock);
    }
}

/// Sends word that the current task receives the error of a dead connection. The filters let the
/// death through, or its moment would not be known.
#[inline(always)]
pub fn noticed(inode: u64, died_ns: u64, err: u32, call: u8, ctx: *mut c_void) {
    let Some(mut entry) = EVENTS.reserve::<Noticed>(0) else {
        count(usize::from(kind::NOTICED));
        return;
    };
    // SAFETY: as in `event`; `fill_noticed` writes every field.
    record::fill_noticed(
        unsafe { &mut *entry.as_mut_ptr() },
        inode,
        died_ns,
        err,
        call,
        ctx,
    );
    entry.submit(0);
}

/// Sends word of what becomes of a process. `name` is where its name stands.
#[inline(always)]
pub fn notice(kind: u16, process: Process, parent: u32, name: u64) {
    let Some(mut entry) = EVENTS.reserve::<Notice>(0) else {
        count(usize::from(kind));
        return;
    };
    // SAFETY: as in `event`; `fill_notice` writes every field.
    record::fill_notice(
        unsafe { &mut *entry.as_mut_ptr() },
        kind,
        process,
        parent,
        name,
    );
    entry.submit(0);
}

/// Sends word that a socket is gone.
#[inline(always)]
pub fn ended(inode: u64) {
    let Some(mut entry) = EVENTS.reserve::<Notice>(0) else {
        count(usize::from(kind::ENDED));
        return;
    };
    entry.write(Notice {
        kind: kind::ENDED,
        size: NOTICE_SIZE as u16,
        tgid: 0,
        start_ns: 0,
        inode,
        parent: 0,
        reserved: 0,
        comm: Sixteen::default(),
    });
    entry.submit(0);
}

/// A socket or a process found no room in its table.
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
        if let Some(count) = drops.0.get_mut(slot % Drops::SLOTS) {
            *count += 1;
        }
    }
}
