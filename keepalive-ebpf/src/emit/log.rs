//! Diagnostics for `-v`, through aya-log. The verifier removes them unless `-v` raised the level.
//!
//! Only for what no counter tells. aya-log's code for one line is some five hundred instructions, and
//! the verifier has to check them at every start. A counter (`state::losses`) costs two instructions.

use aya_log_ebpf::debug;

use crate::kernel::Sock;

/// A socket closed with an errno that is no timeout.
#[inline(never)]
pub fn other_death(sock: Sock, err: u32) {
    debug!(
        (),
        "socket {:x} closed with errno {}, which is no timeout", sock.0, err
    );
}
