//! Every TCP socket of a network namespace, for the listing.
//!
//! The kernel's iterator over its socket tables (`bpf_iter_tcp`, net/ipv4/tcp_ipv4.c, since 5.9) calls
//! this for each socket of the namespace in which the iterator was made. It runs in the context of the
//! task that reads from the iterator.

use core::ffi::c_void;

use aya_ebpf::{bindings::seq_file, helpers::generated::bpf_seq_write};
use keepalive_ebpf::wire::ROW_SIZE;

use crate::{
    emit, filter,
    kernel::{
        Sock,
        memory::{field, read_field},
        state,
    },
};

/// The head of `struct bpf_iter__tcp`. The verifier takes the output only from a plain load of these two
/// fields, so their places are compiled in. The user half compares them with BTF before it loads this.
#[repr(C)]
pub struct Context {
    meta: *const Meta,
}

/// The head of `struct bpf_iter_meta`.
#[repr(C)]
struct Meta {
    seq: *mut seq_file,
}

/// Writes one row. aya-ebpf has no macro for iterators: the section's name is the program's type.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub extern "C" fn tcp_iter(ctx: *const Context) -> i32 {
    // Read through a helper. After the last socket the pointer is null, and the verifier refuses
    // arithmetic on a pointer of its own that may be null.
    let sock = Sock(read_field(ctx as u64, field!(iter_sk_common)));
    if sock.0 == 0 {
        return 0;
    }
    let state = sock.state();
    // In these two states it is no full socket: what follows would read past its end.
    if state == state::TIME_WAIT || state == state::NEW_SYN_RECV {
        return 0;
    }
    if filter::wants(sock) {
        let row = emit::row(sock, state);
        // SAFETY: the kernel passes a valid context, whose output outlives this call. The verifier
        // checks both, and that the row is initialised over its whole length.
        unsafe {
            let seq = (*(*ctx).meta).seq;
            // If the row does not fit, the kernel calls again with room for it.
            bpf_seq_write(seq, (&raw const row).cast::<c_void>(), ROW_SIZE as u32);
        }
    }
    0
}
