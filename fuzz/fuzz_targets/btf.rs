//! BTF: whatever the bytes are, the parser finds the layout or gives a reason, in bounded time and stack.

#![no_main]

use libfuzzer_sys::fuzz_target;

const HEADER_LEN: u32 = 24;
/// Names that look-ups ask for, so that types made at random are found by them.
const NAMES: &[u8] = b"\0sock\0__sk_common\0skc_family\0sk_timer\0inet_connection_sock\0icsk_keepalive_timer\0\
    timer_list\0function\0expires\0entry\0pprev\0file\0f_count\0counter\0f_ref\0refcnt\0sock_flags\0SOCK_DEAD\0\
    SOCK_KEEPOPEN\0tcp_keepalive_timer\0inet_csk_accept\0bpf_iter_tcp\0bpf_iter__tcp\0meta\0bpf_iter_meta\0seq\0";

fuzz_target!(|data: &[u8]| {
    let [how, types @ ..] = data else {
        return;
    };
    // Whole files too: the fixtures begin with the low byte of the magic number, which is odd.
    let outcome = if how % 2 == 1 {
        katrace::fuzzing::kernel_types(data)
    } else {
        katrace::fuzzing::kernel_types(&framed(types))
    };
    if let Err(reason) = outcome {
        assert!(!reason.to_string().is_empty());
    }
});

/// A valid header and string table around a section of types.
fn framed(types: &[u8]) -> Vec<u8> {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut btf = Vec::with_capacity(types.len() + NAMES.len() + 24);
    btf.extend(0xeb9f_u16.to_ne_bytes());
    btf.extend([1, 0]);
    for word in [HEADER_LEN, 0, len(types), len(types), len(NAMES)] {
        btf.extend(word.to_ne_bytes());
    }
    btf.extend(types);
    btf.extend(NAMES);
    btf
}
