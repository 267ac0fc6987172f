//! Processes that hold sockets: their children, their names, their ends.
//!
//! `sched:sched_wakeup_new`, `task:task_rename` and `sched:sched_process_exit` (raw) exist on every
//! kernel and work with every backend. Each program looks one number up and returns unless the process
//! has to do with a socket. `task_rename` covers exec and prctl.
//!
//! The kernel skips a program that is already running on the CPU (since 6.1), and on newer kernels (7.3,
//! not 6.12) a task can lose the CPU inside a tracepoint's program. So a child is noted where its parent
//! makes it ready to run (`wake_up_new_task`, kernel/sched/core.c). There the parent holds the lock of a
//! run queue, and no other task can take its CPU. `sched_process_fork` comes a moment earlier, but
//! there up to nineteen forks were skipped in one run of the scenarios on 7.3. The other two hooks have
//! re-entrancy guards. A guard may send the same notice again, which changes nothing.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid, macros::raw_tracepoint, programs::RawTracePointContext,
};
use keepalive_ebpf::wire::{Lineage, kind};

use crate::{emit, kernel::Process, state::processes};

#[raw_tracepoint(tracepoint = "sched_wakeup_new")]
pub fn process_fork(ctx: RawTracePointContext) -> i32 {
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some(interest) = processes::interest(parent) else {
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
        parent,
        reserved: 0,
    };
    let tgid = child.tgid();
    processes::begin(tgid, interest, &lineage);
    if processes::is_watched(interest) {
        emit::process_notice(kind::FORKED, tgid, parent);
    }
    0
}

#[raw_tracepoint(tracepoint = "task_rename")]
pub fn process_rename(ctx: RawTracePointContext) -> i32 {
    renamed(&ctx)
}

/// The re-entrancy guard.
#[raw_tracepoint(tracepoint = "task_rename")]
pub fn process_rename_guard(ctx: RawTracePointContext) -> i32 {
    renamed(&ctx)
}

#[inline(always)]
fn renamed(ctx: &RawTracePointContext) -> i32 {
    let process = Process(ctx.arg(0));
    let tgid = process.tgid();
    if let Some(interest) = processes::interest(tgid)
        && processes::is_watched(interest)
        // Threads may have names of their own.
        && process.is_leader()
    {
        emit::process_notice(kind::RENAMED, tgid, 0);
    }
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit(ctx: RawTracePointContext) -> i32 {
    exited(&ctx)
}

/// The re-entrancy guard.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit_guard(ctx: RawTracePointContext) -> i32 {
    exited(&ctx)
}

#[inline(always)]
fn exited(ctx: &RawTracePointContext) -> i32 {
    let task = Process(ctx.arg(0));
    let tgid = task.tgid();
    let Some(interest) = processes::interest(tgid) else {
        return 0;
    };
    // Threads end one by one. Their process ends with the last.
    if task.lives() {
        return 0;
    }
    processes::forget(tgid);
    if processes::is_watched(interest) {
        emit::process_notice(kind::EXITED, tgid, 0);
    }
    0
}
