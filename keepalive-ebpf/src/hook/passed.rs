//! Who was given a descriptor.
//!
//! `security_file_receive` (security/security.c) runs in the context of the task that receives a
//! file over a unix socket, through `pidfd_getfd` or from seccomp, on every kernel since 5.8 that is
//! built with `CONFIG_SECURITY`. fentry only, as for accept. Without it the new holder is found by
//! the next scan. Its twin is for the task that took the CPU from another one inside the first,
//! which the kernel then skips; the second note of the same changes nothing.

use aya_ebpf::{EbpfContext, macros::fentry, programs::FEntryContext};

use crate::{mem::word, record::Sock, track};

#[fentry(function = "security_file_receive")]
pub fn passed_fentry(ctx: FEntryContext) -> u32 {
    received(&ctx)
}

#[fentry(function = "security_file_receive")]
pub fn passed_fentry_twin(ctx: FEntryContext) -> u32 {
    received(&ctx)
}

#[inline(always)]
fn received(ctx: &FEntryContext) -> u32 {
    if let Some(sock) = Sock::of_file(word(ctx.as_ptr(), 0))
        && sock.is_inet()
        && sock.is_tcp()
    {
        track::pass(sock);
    }
    0
}
