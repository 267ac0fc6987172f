//! Processes: the task that is running, where that is the task that acts, and those that hooks on
//! processes tell of.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_get_current_task, bpf_probe_read_kernel_str},
};
use keepalive_ebpf::wire::{COMM_LEN, Sixteen};

use crate::mem::{field, read, read_16};

/// A thread group, with the start time without which a pid is no identity.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Task {
    /// `CLOCK_BOOTTIME` nanoseconds.
    pub start_ns: u64,
    pub tgid: u32,
    pub reserved: u32,
    pub comm: Sixteen,
}

impl Task {
    pub const NONE: Self = Self {
        start_ns: 0,
        tgid: 0,
        reserved: 0,
        comm: Sixteen([0; 2]),
    };

    /// Becomes the current task; false when that is a kernel thread: work a thread does for a socket
    /// (MPTCP's worker connects subflows) says nothing of who holds it.
    ///
    /// Only for hooks in process context. In a softirq the current task is whoever was interrupted.
    #[inline(always)]
    pub fn become_current(&mut self) -> bool {
        let Some(leader) = Process::current() else {
            return false;
        };
        self.start_ns = leader.start_ns();
        self.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        // The process's name; threads may have names of their own.
        leader.read_comm(&mut self.comm);
        true
    }
}

/// Address of a `struct task_struct`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Process(pub u64);

impl Process {
    /// The leader of the running task's thread group; nothing for a kernel thread.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        let task = running_task();
        // Its memory is the first that an ending process gives back, its files come later.
        (read!(task, task_mm) != 0 || !Self(task).lives()).then(|| Self::of_task(task))
    }

    /// The leader of the running task's thread group, a kernel thread too.
    #[inline(always)]
    pub fn running() -> Self {
        Self::of_task(running_task())
    }

    /// The leader of a task's thread group.
    #[inline(always)]
    pub fn of_task(task: u64) -> Self {
        Self(read!(task, task_group_leader))
    }

    #[inline(always)]
    pub fn is_leader(self) -> bool {
        Self::of_task(self.0) == self
    }

    /// It shares its descriptors with the leader of its thread group, and is another.
    #[inline(always)]
    pub fn shares_files(self, leader: Self) -> bool {
        leader != self && read!(leader.0, task_files) == read!(self.0, task_files)
    }

    /// Thread group id in the initial pid namespace.
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        read!(self.0, task_tgid) as u32
    }

    /// `CLOCK_BOOTTIME` nanoseconds.
    #[inline(always)]
    pub fn start_ns(self) -> u64 {
        read!(self.0, task_start_boottime)
    }

    /// Any of its threads has not ended yet.
    #[inline(always)]
    pub fn lives(self) -> bool {
        read!(read!(self.0, task_signal), signal_live) as u32 != 0
    }

    /// Where its name stands.
    #[inline(always)]
    pub fn comm(self) -> u64 {
        self.0 + u64::from(field!(task_comm).offset)
    }

    #[inline(always)]
    pub fn read_comm(self, to: &mut Sixteen) {
        read_16(self.0, field!(task_comm), to);
    }
}

#[inline(always)]
fn running_task() -> u64 {
    // SAFETY: the helper returns the address of the running task and touches nothing.
    unsafe { bpf_get_current_task() }
}

/// A name of any length, cut to what fits.
#[inline(always)]
pub fn read_name(from: u64, to: &mut Sixteen) {
    // SAFETY: the helper checks the source itself, and writes at most the sixteen bytes borrowed
    // here.
    unsafe {
        bpf_probe_read_kernel_str((&raw mut *to).cast(), COMM_LEN as u32, from as *const _);
    }
}
