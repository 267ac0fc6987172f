//! Loads and attaches the programs of the [table](super::table), by trying.

use std::collections::HashMap;

use aya::{
    Ebpf,
    programs::{FEntry, FExit, KProbe, Program, ProgramError, RawTracePoint},
};

use super::{
    Plan,
    hook::{Condition, Hook, Need, Point, Turn},
    table::HOOKS,
};
use crate::source::{error::HostError, kernel_info::layout::KernelTypes};

/// The object's programs by name.
pub struct Programs<'a>(HashMap<&'a str, &'a mut Program>);

/// What became of a hook that was tried.
pub struct Outcome {
    /// The row.
    pub hook: &'static Hook,
    /// The kernel's answer.
    pub result: Result<(), HostError>,
}

impl<'a> Programs<'a> {
    /// All programs of the object.
    pub fn of(ebpf: &'a mut Ebpf) -> Self {
        Self(ebpf.programs_mut().collect())
    }

    /// Takes the programs of one turn, guards included, for a thread of their own.
    pub fn take_turn(&mut self, turn: Turn) -> Self {
        let is_wanted = |name: &str| {
            HOOKS
                .iter()
                .filter(|hook| hook.turn == turn)
                .any(|hook| hook.program == name || hook.guard == Some(name))
        };
        Self(self.0.extract_if(|name, _| is_wanted(name)).collect())
    }

    /// Attaches the hooks of one turn, in the order of the table.
    ///
    /// # Errors
    ///
    /// A required hook is refused.
    pub fn attach_turn(&mut self, turn: Turn, plan: &Plan<'_>) -> Result<Vec<Outcome>, HostError> {
        try_turn(turn, plan, |hook| self.attach(hook, plan))
    }

    /// The guard is loaded here, while the functions' ids are at hand, and attached later. It is loaded after its
    /// program is attached: loaded before, it made the start on 6.1 some 20 ms longer.
    fn attach(&mut self, hook: &Hook, plan: &Plan<'_>) -> Result<(), HostError> {
        self.load_program(hook.program, hook.point, plan)?;
        self.attach_program(hook.program, hook.point)?;
        if let (Some(guard), Point::Fentry(_)) = (hook.guard, hook.point) {
            self.load_program(guard, hook.point, plan)?;
        }
        Ok(())
    }

    fn load_program(
        &mut self,
        name: &'static str,
        point: Point,
        plan: &Plan<'_>,
    ) -> Result<(), HostError> {
        let Plan {
            functions, types, ..
        } = *plan;
        match point {
            Point::Fentry(candidates) => {
                let function = present(candidates, types);
                let btf = functions.read()?;
                self.find::<FEntry>(name)?.load(function, btf)
            }
            Point::Fexit(function) => {
                let btf = functions.read()?;
                self.find::<FExit>(name)?.load(function, btf)
            }
            Point::Kprobe(_) | Point::Kretprobe(_) => self.find::<KProbe>(name)?.load(),
            Point::Tracepoint { .. } => self.find::<RawTracePoint>(name)?.load(),
        }
        .map_err(HostError::program("loading", name))
    }

    /// Attaches a loaded program for as long as the object lives.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or has no such function or tracepoint.
    pub fn attach_program(&mut self, name: &'static str, point: Point) -> Result<(), HostError> {
        match point {
            Point::Fentry(_) => self.find::<FEntry>(name)?.attach().map(drop),
            Point::Fexit(_) => self.find::<FExit>(name)?.attach().map(drop),
            Point::Kprobe(function) | Point::Kretprobe(function) => {
                self.find::<KProbe>(name)?.attach(function, 0).map(drop)
            }
            Point::Tracepoint {
                name: tracepoint, ..
            } => {
                let program = self.find::<RawTracePoint>(name)?;
                program.attach(tracepoint).map(drop)
            }
        }
        .map_err(HostError::program("attaching", name))
    }

    /// A program as one of its type.
    ///
    /// # Errors
    ///
    /// There is no such program, or it is of another type.
    pub fn find<'p, T>(&'p mut self, name: &'static str) -> Result<&'p mut T, HostError>
    where
        &'p mut T: TryFrom<&'p mut Program, Error = ProgramError>,
    {
        let program = self.0.get_mut(name).ok_or(HostError::Object(name))?;
        (&mut **program)
            .try_into()
            .map_err(HostError::program("finding", name))
    }
}

/// Tries the hooks of one turn. Ends with the first required one that is refused.
fn try_turn(
    turn: Turn,
    plan: &Plan<'_>,
    mut attach: impl FnMut(&Hook) -> Result<(), HostError>,
) -> Result<Vec<Outcome>, HostError> {
    let mut outcomes = Vec::new();
    for hook in HOOKS.iter().filter(|hook| hook.turn == turn) {
        if !is_tried(hook, plan, &outcomes) {
            continue;
        }
        // A hook of another backend that is tried here is an optional one.
        let result = if hook.backends.contains(&plan.attach) {
            attach(hook)
        } else {
            Err(HostError::NoTrampolines)
        };
        let result = match (hook.need, result) {
            (Need::Required, Err(error)) => return Err(error),
            (_, result) => result,
        };
        outcomes.push(Outcome { hook, result });
    }
    Ok(outcomes)
}

/// An optional hook that the backend does not use is tried too, so that `ready.missing` lists it.
fn is_tried(hook: &Hook, plan: &Plan<'_>, before: &[Outcome]) -> bool {
    let is_used = hook.backends.contains(&plan.attach) || hook.need != Need::Required;
    is_used
        && match hook.condition {
            Condition::None => true,
            Condition::WriteErr => plan.write_err,
            Condition::NoticedWanted => plan.noticed,
            Condition::Without(program) => before
                .iter()
                .any(|outcome| outcome.hook.program == program && outcome.result.is_err()),
        }
}

/// The first of these functions that this kernel has.
pub fn present(candidates: &[&'static str], types: &KernelTypes) -> &'static str {
    candidates
        .iter()
        .find(|name| types.functions.iter().any(|(has, _)| has == *name))
        .or(candidates.last())
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As if the kernel took all programs but the refused ones.
    pub fn simulated(plan: &Plan<'_>, refused: &[&str]) -> Vec<Outcome> {
        let attach = |hook: &Hook| {
            if refused.contains(&hook.program) {
                Err(HostError::Object(hook.program))
            } else {
                Ok(())
            }
        };
        let turns = Turn::ALL.into_iter();
        turns
            .flat_map(|turn| try_turn(turn, plan, attach).unwrap())
            .collect()
    }
}
