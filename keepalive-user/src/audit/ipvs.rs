//! The idle time after which IPVS forgets a connection.
//!
//! `getsockopt(IP_VS_SO_GET_TIMEOUT)` on a raw socket tells it (include/uapi/linux/ip_vs.h), for the namespace in which
//! the socket was created. It needs CAP_NET_ADMIN and loads no module.

use std::{io, os::fd::AsRawFd};

use rustix::net::{AddressFamily, SocketType, ipproto, socket};

const IP_VS_SO_GET_TIMEOUT: libc::c_int = 64 + 1024 + 64 + 6;

/// `struct ip_vs_timeout_user`, seconds.
#[repr(C)]
#[derive(Default)]
struct Timeouts {
    tcp: libc::c_int,
    tcp_fin: libc::c_int,
    udp: libc::c_int,
}

/// For established TCP connections of the calling thread's namespace, in milliseconds.
///
/// # Errors
///
/// A sentence: there is no IPVS, or it does not answer.
pub fn timeout_ms() -> Result<u64, String> {
    let refused = |error: io::Error| match error.raw_os_error() {
        Some(libc::ENOPROTOOPT) => "no IPVS there (ip_vs)".to_owned(),
        _ => format!("IPVS does not tell its timeouts: {error}"),
    };
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::TCP))
        .map_err(|error| refused(error.into()))?;
    let mut timeouts = Timeouts::default();
    let mut length = size_of::<Timeouts>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes to a structure of
    // that size, all of whose fields are integers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            IP_VS_SO_GET_TIMEOUT,
            (&raw mut timeouts).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(refused(io::Error::last_os_error()));
    }
    u64::try_from(timeouts.tcp)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(|seconds| seconds * 1000)
        .ok_or_else(|| "IPVS tells no timeout".to_owned())
}
