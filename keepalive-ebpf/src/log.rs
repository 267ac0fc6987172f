//! Diagnostics through aya-log: compiled in, and removed by the verifier unless `-v` raised the
//! level. Functions of their own, so that the hooks stay short.

use aya_log_ebpf::debug;

use crate::record::Sock;

#[inline(never)]
pub fn ring_full(kind: u16, sock: Sock) {
    debug!(
        (),
        "ring full: kind {} of socket {:x} is lost", kind, sock.0
    );
}

#[inline(never)]
pub fn table_full(sock: Sock) {
    debug!((), "socket table full: {:x} is not followed", sock.0);
}

#[inline(never)]
pub fn other_death(sock: Sock, err: u32) {
    debug!(
        (),
        "socket {:x} closed with errno {}, which is no timeout", sock.0, err
    );
}
