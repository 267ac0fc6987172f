//! Who was given a descriptor.
//!
//! `security_file_receive` (security/security.c) runs in the context of the task that receives a file
//! over a unix socket, through `pidfd_getfd` or from seccomp. It exists since 5.8 on kernels with
//! `CONFIG_SECURITY`. fentry only, for the same reason as accept. Without it, the next scan of
//! descriptors finds the new holder.

use aya_ebpf::{EbpfContext, macros::fentry, programs::FEntryContext};

use crate::{
    kernel::{Sock, memory::word},
    state::socket_state,
};

#[fentry(function = "security_file_receive")]
pub fn passed_fentry(ctx: FEntryContext) -> u32 {
    received(&ctx)
}

/// The re-entrancy guard.
#[fentry(function = "security_file_receive")]
pub fn passed_fentry_guard(ctx: FEntryContext) -> u32 {
    received(&ctx)
}

#[inline(always)]
fn received(ctx: &FEntryContext) -> u32 {
    if let Some(sock) = Sock::of_file(word(ctx.as_ptr(), 0))
        && sock.is_inet()
        && sock.is_tcp()
    {
        socket_state::note_receiver(sock);
    }
    0
}
