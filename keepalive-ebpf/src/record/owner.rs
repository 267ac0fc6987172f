//! The task that is running, where that is the task that acts: connect, accept, close.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task};
use keepalive_ebpf::wire::COMM_LEN;

use crate::mem::{field, read, read_16};

/// A thread group, with the start time without which a pid is no identity.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Task {
    /// `CLOCK_BOOTTIME` nanoseconds.
    pub start_ns: u64,
    pub tgid: u32,
    pub reserved: u32,
    pub comm: [u8; COMM_LEN],
}

impl Task {
    pub const NONE: Self = Self {
        start_ns: 0,
        tgid: 0,
        reserved: 0,
        comm: [0; COMM_LEN],
    };

    /// Becomes the current task; false when that is a kernel thread: work a thread does for a socket
    /// (MPTCP's worker connects subflows) says nothing of who holds it.
    ///
    /// Only for hooks in process context. In a softirq the current task is whoever was interrupted.
    #[inline(always)]
    pub fn become_current(&mut self) -> bool {
        // SAFETY: the helper returns the address of the running task and touches nothing.
        let task = unsafe { bpf_get_current_task() };
        if read!(task, task_mm) == 0 {
            return false;
        }
        let leader = read!(task, task_group_leader);
        self.start_ns = read!(leader, task_start_boottime);
        self.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        // The process's name; threads may have names of their own.
        read_16(leader, field!(task_comm), &mut self.comm);
        true
    }
}
