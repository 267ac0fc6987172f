//! The user half says which processes it wants notices of.
//!
//! The user half runs this program itself (`BPF_PROG_TEST_RUN`, for raw tracepoints 5.10 and later); it
//! is attached to no tracepoint. A write to the map from user space would have the same result. But
//! while a process does that, the kernel skips the programs of all kprobes on its CPU
//! (`bpf_disable_instrumentation`), and timers may expire there. Only the kprobe backend loads this.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::state::processes;

/// Takes a thread group id, and 1 to watch it or 0 to watch it no more. Returns 1 if there is no room.
#[raw_tracepoint(tracepoint = "task_rename")]
pub fn watch_pid(ctx: RawTracePointContext) -> i32 {
    let tgid = ctx.arg::<u64>(0) as u32;
    if ctx.arg::<u64>(1) == 0 {
        processes::forget(tgid);
        return 0;
    }
    i32::from(!processes::watch(tgid))
}
