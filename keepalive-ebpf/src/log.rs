//! Diagnostics through aya-log: compiled in, and removed by the verifier unless `-v` raised the
//! level.
//!
//! For what no counter tells. aya-log's code for a line is some five hundred instructions, and a
//! program that may print one carries them through the verifier at every start; what found no room
//! is counted instead (`emit`), at the cost of two.

use aya_log_ebpf::debug;

use crate::record::Sock;

/// A socket closed with an errno that is no timeout.
#[inline(never)]
pub fn other_death(sock: Sock, err: u32) {
    debug!(
        (),
        "socket {:x} closed with errno {}, which is no timeout", sock.0, err
    );
}
