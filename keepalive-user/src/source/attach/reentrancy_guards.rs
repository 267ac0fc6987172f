//! Second copies of some programs, against runs that the kernel skips.
//!
//! A task can lose the CPU while it is inside a program. Until it continues, the kernel skips that
//! program for every other task on that CPU: always at trampolines, on Linux 7.x at tracepoints too.
//! The guard is another program on the same function, so the kernel runs it then. Where the first
//! program ran too, the guard sees its result and changes nothing.

use aya::{Ebpf, programs::RawTracePoint};

use super::{
    programs::{Outcome, Programs},
    table::{Hook, Point},
};
use crate::source::error::HostError;

/// The hooks that have a guard, of those that are attached.
pub fn guarded(outcomes: &[Outcome]) -> Vec<&'static Hook> {
    outcomes
        .iter()
        .filter(|outcome| outcome.result.is_ok() && outcome.hook.guard.is_some())
        .map(|outcome| outcome.hook)
        .collect()
}

/// Attaches the guards of these hooks.
///
/// # Errors
///
/// The kernel refuses a second program where it took the first.
pub fn attach(ebpf: &mut Ebpf, hooks: &[&'static Hook]) -> Result<(), HostError> {
    let mut programs = Programs::of(ebpf);
    for hook in hooks {
        if let Some(guard) = hook.guard {
            attach_guard(&mut programs, hook, guard)?;
        }
    }
    Ok(())
}

fn attach_guard(
    programs: &mut Programs<'_>,
    hook: &Hook,
    guard: &'static str,
) -> Result<(), HostError> {
    match hook.point {
        Point::Tracepoint { .. } => programs
            .find::<RawTracePoint>(guard)?
            .load()
            .map_err(HostError::program("loading", guard))?,
        // Loaded together with its program.
        Point::Fentry(_) | Point::Fexit(_) | Point::Kprobe(_) | Point::Kretprobe(_) => {}
    }
    programs.attach_program(guard, hook.point)
}
