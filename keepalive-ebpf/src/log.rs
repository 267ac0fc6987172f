//! Diagnostics through aya-log: compiled in, and removed by the verifier unless `-v` raised the
//! level.
//!
//! One function and one line for all of them. aya-log's code for a line is some five hundred
//! instructions that every program which may print it carries and the verifier walks at load.

use aya_log_ebpf::debug;

use crate::record::Sock;

/// What there is to say.
#[derive(Clone, Copy)]
pub enum Note {
    /// A record of this kind found no room in the ring.
    RingFull(u16),
    /// A socket found no room in the table.
    TableFull,
    /// A socket closed with an errno that is no timeout.
    OtherDeath(u32),
}

#[inline(always)]
pub fn note(sock: Sock, note: Note) {
    match note {
        Note::RingFull(kind) => print("ring full, record lost of kind", u64::from(kind), sock),
        Note::TableFull => print("socket table full, not followed", 0, sock),
        Note::OtherDeath(err) => print("closed, but no timeout, with errno", u64::from(err), sock),
    }
}

#[inline(never)]
fn print(what: &'static str, number: u64, sock: Sock) {
    debug!((), "{} {} (socket {:x})", what, number, sock.0);
}
