//! A socket that a program may read without calling a helper.

use aya_ebpf::programs::FEntryContext;

use super::memory::{config, load};

/// A `struct sock` that is an argument of a trampoline. The verifier knows its type, so its fields are
/// read by plain loads, which cost less than a helper. For the hook that every call on any socket
/// passes. It must not be stored in a map.
pub struct TrustedSock(u64);

impl TrustedSock {
    /// The first argument of the hooked function.
    #[inline(always)]
    pub fn of(ctx: &FEntryContext) -> Self {
        Self(ctx.arg(0))
    }

    /// One of [`super::sock::state`], or a state that katrace never compares with.
    #[inline(always)]
    pub fn state(&self) -> u8 {
        load!(self.0, skc_state as u8) as u8
    }

    /// `SO_KEEPALIVE` is set.
    #[inline(always)]
    pub fn is_keepopen(&self) -> bool {
        load!(self.0, sk_flags as u64) & (1 << config!(sock_keepopen)) != 0
    }

    /// There is exactly one reference to its file. An MPTCP subflow has no file of its own: for that
    /// the answer is always no.
    #[inline(always)]
    pub fn has_one_reference(&self) -> bool {
        let file = load!(load!(self.0, sk_socket as u64), socket_file as u64);
        let refs = load!(file, file_refs as u64) as u32;
        file != 0 && refs.wrapping_add(config!(file_refs_bias)) == 1
    }
}
