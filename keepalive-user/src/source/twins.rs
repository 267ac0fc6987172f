//! Second programs at hooks where a task can lose the CPU.
//!
//! The kernel skips a program that is already running on the CPU. On a preemptible kernel the task
//! inside may have lost it, and until it goes on every other task that comes by is skipped. A twin is
//! another program, and runs then. What the first has done it finds done.
//!
//! Twins are attached once katrace is ready: without them nothing is missed but such moments, and a
//! trampoline's second program takes the kernel longer than its first.

use aya::{Ebpf, programs::FEntry};

use super::{
    attach::{self, Programs},
    error::HostError,
};

const TRACEPOINTS: [(&str, &str); 3] = [
    ("lifetime_set_state_guard", "inet_sock_set_state"),
    ("process_rename_guard", "task_rename"),
    ("process_exit_guard", "sched_process_exit"),
];
const TRAMPOLINES: [&str; 2] = ["noticed_release_fentry_guard", "passed_fentry_guard"];

/// Attaches them all; trampolines where their first programs are.
pub fn attach(ebpf: &mut Ebpf) -> Result<(), HostError> {
    let mut programs = Programs::of(ebpf);
    for (name, tracepoint) in TRACEPOINTS {
        attach::raw_tracepoint(&mut programs, name, tracepoint)?;
    }
    for name in TRAMPOLINES {
        let program: &mut FEntry = attach::find(&mut programs, name)?;
        // Loaded together with the first, while the functions' numbers were at hand.
        if program.fd().is_ok() {
            let attached = program.attach().map(drop);
            attached.map_err(|source| HostError::Program {
                operation: "attaching",
                program: name,
                source,
            })?;
        }
    }
    Ok(())
}
