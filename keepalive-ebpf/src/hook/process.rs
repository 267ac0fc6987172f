//! Processes that hold sockets: their children, their names, their ends.
//!
//! `sched:sched_wakeup_new`, `task:task_rename` and `sched:sched_process_exit` (raw) run on every
//! kernel and backend. Each looks one number up and returns unless the process has to do with a
//! socket. `task_rename` covers exec and prctl alike, and carries the new name.
//!
//! Since 6.1 the kernel skips a program that is already running on the CPU, and on newer kernels (7.3,
//! not 6.12) a task can lose the CPU inside a tracepoint's program. So a child is seen where its parent, holding a run
//! queue's lock, makes it ready to run (kernel/sched/core.c, `wake_up_new_task`): nothing can come
//! between there. At `sched_process_fork`, a moment before, up to nineteen were skipped in one run of
//! the scenarios on 7.3. The other two have twins, for the task that took the CPU from another one inside the
//! first. Of a new name the twin sends word again, which changes nothing.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid, macros::raw_tracepoint, programs::RawTracePointContext,
};
use keepalive_ebpf::wire::{Lineage, kind};

use crate::{emit, family, record::Process};

#[raw_tracepoint(tracepoint = "sched_wakeup_new")]
pub fn process_fork(ctx: RawTracePointContext) -> i32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some(interest) = family::interest(tgid) else {
        return 0;
    };
    let child = Process(ctx.arg(0));
    // A thread shares its process's descriptors.
    if !child.is_leader() {
        return 0;
    }
    let lineage = Lineage {
        start_ns: child.start_ns(),
        parent_start_ns: Process::running().start_ns(),
        parent: tgid,
        reserved: 0,
    };
    family::begins(child.tgid(), interest, &lineage);
    if family::is_named(interest) {
        emit::notice(kind::FORKED, child, tgid, child.comm());
    }
    0
}

#[raw_tracepoint(tracepoint = "task_rename")]
pub fn process_rename(ctx: RawTracePointContext) -> i32 {
    renamed(&ctx)
}

#[raw_tracepoint(tracepoint = "task_rename")]
pub fn process_rename_twin(ctx: RawTracePointContext) -> i32 {
    renamed(&ctx)
}

#[inline(always)]
fn renamed(ctx: &RawTracePointContext) -> i32 {
    let process = Process(ctx.arg(0));
    if let Some(interest) = family::interest(process.tgid())
        && family::is_named(interest)
        // Threads may have names of their own.
        && process.is_leader()
    {
        emit::notice(kind::RENAMED, process, 0, ctx.arg(1));
    }
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit(ctx: RawTracePointContext) -> i32 {
    exited(&ctx)
}

#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit_twin(ctx: RawTracePointContext) -> i32 {
    exited(&ctx)
}

#[inline(always)]
fn exited(ctx: &RawTracePointContext) -> i32 {
    let task = Process(ctx.arg(0));
    let Some(interest) = family::interest(task.tgid()) else {
        return 0;
    };
    // Threads end one by one; their process ends with the last.
    if task.lives() {
        return 0;
    }
    family::ends(task.tgid());
    if family::is_named(interest) {
        let leader = Process::of_task(task.0);
        emit::notice(kind::EXITED, leader, 0, leader.comm());
    }
    0
}
