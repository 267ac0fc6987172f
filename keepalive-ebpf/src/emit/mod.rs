//! Sends messages to the user half. Nothing else writes to the ring. A message that finds no room is
//! counted, so that the user half can tell.

pub mod log;
mod record;
mod row;

pub use record::Moment;
pub use row::row;

use core::ffi::c_void;

use aya_ebpf::{macros::map, maps::RingBuf};
use keepalive_ebpf::wire::{NOTICE_SIZE, Notice, Noticed, Record, kind};

use crate::{filter, kernel::Sock, state::losses};

/// The user half sets its size at load.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(2 << 20, 0);

/// Sends the event if the filters want it. Returns whether they do.
///
/// It is a function in BPF too. If it were inlined, each hook would carry a copy, and the verifier would
/// have to check every copy.
#[inline(never)]
pub fn event(moment: &Moment, sock: Sock) -> bool {
    if !filter::wants_kind(moment.kind) || !filter::wants(sock) {
        return false;
    }
    let Some(mut entry) = EVENTS.reserve::<Record>(0) else {
        losses::count_lost(moment.kind);
        return true;
    };
    // SAFETY: the entry has the size and the alignment of a record. `fill` writes every field before
    // the entry is submitted. All bit patterns are valid for its integers.
    record::fill(unsafe { &mut *entry.as_mut_ptr() }, moment, sock);
    entry.submit(0);
    true
}

/// Tells the user half that the current task receives the error of a dead connection. The filters are not
/// asked again: a death that they rejected has no `died_ns`, so no hook calls this for it.
#[inline(always)]
pub fn noticed(inode: u64, died_ns: u64, err: u32, call: u8, ctx: *mut c_void) {
    let Some(mut entry) = EVENTS.reserve::<Noticed>(0) else {
        losses::count_lost(kind::NOTICED);
        return;
    };
    // SAFETY: as in `event`; `fill_noticed` writes every field.
    let noticed = unsafe { &mut *entry.as_mut_ptr() };
    record::fill_noticed(noticed, inode, died_ns, err, call, ctx);
    entry.submit(0);
}

/// Tells the user half that a process was forked, changed its name or ended. `parent` is 0 unless it was
/// forked.
#[inline(always)]
pub fn process_notice(kind: u16, tgid: u32, parent: u32) {
    notice(Notice {
        kind,
        size: NOTICE_SIZE as u16,
        tgid,
        parent,
        reserved: 0,
        inode: 0,
    });
}

/// Tells the user half that a socket is gone.
#[inline(always)]
pub fn ended(inode: u64) {
    notice(Notice {
        kind: kind::ENDED,
        size: NOTICE_SIZE as u16,
        tgid: 0,
        parent: 0,
        reserved: 0,
        inode,
    });
}

#[inline(always)]
fn notice(notice: Notice) {
    let Some(mut entry) = EVENTS.reserve::<Notice>(0) else {
        losses::count_lost(notice.kind);
        return;
    };
    entry.write(notice);
    entry.submit(0);
}
