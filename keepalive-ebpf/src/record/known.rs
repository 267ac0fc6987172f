//! What the verifier lets a program read without calling a helper.

use aya_ebpf::programs::FEntryContext;

use crate::mem::{config, load};

/// A `struct sock` of which the verifier knows that it is one: a trampoline's argument. It is read
/// without calling a helper, for the hook that every call on any socket passes, and stored nowhere.
pub struct KnownSock(u64);

impl KnownSock {
    /// The first argument of the function.
    #[inline(always)]
    pub fn of(ctx: &FEntryContext) -> Self {
        Self(ctx.arg(0))
    }

    #[inline(always)]
    pub fn state(&self) -> u8 {
        load!(self.0, skc_state as u8) as u8
    }

    /// `SO_KEEPALIVE` is set.
    #[inline(always)]
    pub fn is_keepopen(&self) -> bool {
        load!(self.0, sk_flags as u64) & (1 << config!(sock_keepopen)) != 0
    }

    /// Exactly one reference to its file. An MPTCP subflow has no file of its own, so of that this
    /// says nothing.
    #[inline(always)]
    pub fn has_one_reference(&self) -> bool {
        let file = load!(load!(self.0, sk_socket as u64), socket_file as u64);
        let refs = load!(file, file_refs as u64) as u32;
        file != 0 && refs.wrapping_add(config!(file_refs_bias)) == 1
    }
}
