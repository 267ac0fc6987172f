//! Every TCP socket of a network namespace, for the listing.
//!
//! The kernel's iterator over its socket tables (`bpf_iter_tcp`, net/ipv4/tcp_ipv4.c, since 5.9)
//! calls this for each socket of the namespace that the iterator was made in, in the context of
//! whoever reads from it.

use core::ffi::c_void;

use aya_ebpf::{bindings::seq_file, helpers::generated::bpf_seq_write};
use keepalive_ebpf::row::ROW_SIZE;

use crate::{
    filter,
    mem::{field, read_field},
    record::{self, Sock, state},
};

/// The head of `struct bpf_iter__tcp`, as far as the verifier insists on seeing it read: it takes the
/// output only from here. The user half compares the places with BTF before it loads this.
#[repr(C)]
pub struct Context {
    meta: *const Meta,
}

/// The head of `struct bpf_iter_meta`.
#[repr(C)]
struct Meta {
    seq: *mut seq_file,
}

/// Writes one row. aya-ebpf has no macro for iterators: the section's name is the program's kind.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub extern "C" fn sockets_iter(ctx: *const Context) -> i32 {
    // Read as memory: it is null after the last socket, and arithmetic on what the verifier knows
    // for a pointer that may be null is refused.
    let sock = Sock(read_field(ctx as u64, field!(iter_sk_common)));
    if sock.0 == 0 {
        return 0;
    }
    let state = sock.state();
    // These two are no full sockets: what follows would read past them.
    if state == state::TIME_WAIT || state == state::NEW_SYN_RECV {
        return 0;
    }
    if filter::wants(sock) {
        let row = record::row(sock, state);
        // SAFETY: the kernel passes a valid context, whose output outlives this call; the verifier
        // checks both, and that the row is initialised for as long as it says.
        unsafe {
            let seq = (*(*ctx).meta).seq;
            // What does not fit is asked for again, by the kernel, with room for it.
            bpf_seq_write(seq, (&raw const row).cast::<c_void>(), ROW_SIZE as u32);
        }
    }
    0
}
