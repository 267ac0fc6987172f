//! The order of attaching, on two threads, since loading and attaching take most of the start.

use std::thread::{self, ScopedJoinHandle};

use aya::Ebpf;

use super::{
    Plan,
    hook::Turn,
    programs::{Outcome, Programs},
};
use crate::source::error::HostError;

/// Attaches all hooks of the plan. `after_timer` runs once the timer is hooked, because before that nothing
/// needs its result.
///
/// # Errors
///
/// A required hook is refused, or `after_timer` fails.
pub fn attach(
    ebpf: &mut Ebpf,
    plan: &Plan<'_>,
    after_timer: impl FnOnce() -> Result<(), HostError> + Send,
) -> Result<Vec<Outcome>, HostError> {
    let mut programs = Programs::of(ebpf);
    let [mut ends, mut first, mut beginnings, mut timer, mut calls] =
        Turn::ALL.map(|turn| programs.take_turn(turn));

    // Before Linux 6.3 the kernel waits, at the first trampoline, until every task that is running has
    // stopped once. That takes 38 ms, and over 140 ms while a long program is being verified. So only
    // short programs are loaded beside it.
    let mut outcomes = thread::scope(|scope| {
        let beside = scope.spawn(|| first.attach_turn(Turn::FirstTrampoline, plan));
        let ends = ends.attach_turn(Turn::Ends, plan)?;
        Ok::<_, HostError>(joined(ends, beside))
    })??;
    outcomes.extend(thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let mut outcomes = timer.attach_turn(Turn::Timer, plan)?;
            after_timer()?;
            outcomes.extend(calls.attach_turn(Turn::Calls, plan)?);
            Ok(outcomes)
        });
        let beginnings = beginnings.attach_turn(Turn::Beginnings, plan)?;
        Ok::<_, HostError>(joined(beginnings, beside))
    })??);
    Ok(outcomes)
}

fn joined(
    mut here: Vec<Outcome>,
    beside: ScopedJoinHandle<'_, Result<Vec<Outcome>, HostError>>,
) -> Result<Vec<Outcome>, HostError> {
    here.extend(beside.join().unwrap_or(Err(HostError::Thread {
        operation: "attaching hooks",
    }))?);
    Ok(here)
}
