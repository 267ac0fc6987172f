//! Processes: the task that runs now, and the tasks that hooks on processes are given.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task};
use keepalive_ebpf::wire::Sixteen;

use super::memory::{field, read, read_16};

/// A process, as it is remembered. A pid alone is no identity, because the kernel reuses it. The start
/// time makes it one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Task {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub start_ns: u64,
    /// Thread group id in the initial pid namespace.
    pub tgid: u32,
    /// Zero: stands where padding would be.
    pub reserved: u32,
    /// Its name, NUL-padded.
    pub comm: Sixteen,
}

impl Task {
    /// No process.
    pub const NONE: Self = Self {
        start_ns: 0,
        tgid: 0,
        reserved: 0,
        comm: Sixteen([0; 2]),
    };

    /// Fills this with the current process. False for a kernel thread: what a kernel thread does to a
    /// socket says nothing of who holds it (MPTCP's worker connects subflows).
    ///
    /// Only for hooks in process context. In a softirq the current task is the one that was
    /// interrupted.
    #[inline(always)]
    pub fn become_current(&mut self) -> bool {
        let Some(leader) = Process::current() else {
            return false;
        };
        self.start_ns = leader.start_ns();
        self.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        // The leader's name is the process's. Threads may have names of their own.
        leader.read_comm(&mut self.comm);
        true
    }
}

/// Address of a `struct task_struct`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Process(pub u64);

impl Process {
    /// The leader of the current task's thread group; `None` for a kernel thread.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        let task = current_task();
        // A process that ends gives its memory back first and its files later.
        (read!(task, task_mm) != 0 || !Self(task).lives()).then(|| Self::of_task(task))
    }

    /// The leader of the current task's thread group, for a kernel thread too.
    #[inline(always)]
    pub fn running() -> Self {
        Self::of_task(current_task())
    }

    /// The leader of a task's thread group.
    #[inline(always)]
    pub fn of_task(task: u64) -> Self {
        Self(read!(task, task_group_leader))
    }

    /// It is the leader of its thread group.
    #[inline(always)]
    pub fn is_leader(self) -> bool {
        Self::of_task(self.0) == self
    }

    /// It is not the leader of its thread group, and uses the leader's table of descriptors.
    #[inline(always)]
    pub fn shares_files(self, leader: Self) -> bool {
        leader != self && read!(leader.0, task_files) == read!(self.0, task_files)
    }

    /// Thread group id in the initial pid namespace.
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        read!(self.0, task_tgid) as u32
    }

    /// Its start: `CLOCK_BOOTTIME`, nanoseconds.
    #[inline(always)]
    pub fn start_ns(self) -> u64 {
        read!(self.0, task_start_boottime)
    }

    /// One of its threads has not ended yet.
    #[inline(always)]
    pub fn lives(self) -> bool {
        read!(read!(self.0, task_signal), signal_live) as u32 != 0
    }

    /// Reads its name, NUL-padded.
    #[inline(always)]
    pub fn read_comm(self, to: &mut Sixteen) {
        read_16(self.0, field!(task_comm), to);
    }
}

#[inline(always)]
fn current_task() -> u64 {
    // SAFETY: the helper returns the address of the current task and touches nothing.
    unsafe { bpf_get_current_task() }
}
