//! Processes that user space names, or names no more.
//!
//! No tracepoint runs this: user space does (`BPF_PROG_TEST_RUN`, for raw tracepoints 5.10 and later).
//! Writing to the map from outside would do the same, but while a process does that the kernel skips
//! every kprobe's program on its CPU (`bpf_disable_instrumentation`), and timers expire there. Only the
//! kprobe backend loads it.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::family;

/// Given a thread group id and 1 to watch it, 0 to watch it no more; returns 1 if there is no room.
#[raw_tracepoint(tracepoint = "task_rename")]
pub fn named_run(ctx: RawTracePointContext) -> i32 {
    let tgid = ctx.arg::<u64>(0) as u32;
    if ctx.arg::<u64>(1) == 0 {
        family::ends(tgid);
        return 0;
    }
    i32::from(!family::watch(tgid))
}
