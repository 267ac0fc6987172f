//! What is watched and what is missing, for the record `ready`.

use super::{
    Plan,
    hook::{Call, Hook, Need, Point, Purpose, Shown},
    programs::{Outcome, present},
    table::HOOKS,
};
use crate::{
    event::{Attach, Hooks},
    source::kernel_info::layout::KernelTypes,
};

/// How the kernel half is attached, for the record `ready`.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The backend.
    pub attach: Attach,
    /// Why this backend.
    pub reason: String,
    /// What is watched, by purpose.
    pub hooks: Hooks,
    /// What cannot be seen, a sentence each.
    pub missing: Vec<String>,
    /// Jiffies per second, to read the records by.
    pub hz: u32,
}

impl Attached {
    /// Sums up what became of the hooks that were tried.
    pub fn of(mut outcomes: Vec<Outcome>, plan: &Plan<'_>, reason: String, hz: u32) -> Self {
        // They come from two threads.
        outcomes.sort_by_key(|outcome| HOOKS.iter().position(|hook| hook == outcome.hook));
        let mut hooks = Hooks::default();
        for purpose in Purpose::ALL {
            *field(&mut hooks, purpose) = watched(purpose, &outcomes, plan.types);
        }
        let optional = outcomes.iter().filter_map(missing);
        let missing = optional.chain(missing_calls(&outcomes, plan)).collect();
        Self {
            attach: plan.attach,
            reason,
            hooks,
            missing,
            hz,
        }
    }
}

impl Attached {
    /// Whether errors received may come with a stack that tells the call: the hook on `release_sock` sends it, and
    /// that is a trampoline.
    pub fn has_stacks(&self) -> bool {
        self.attach != Attach::Tracepoint && self.hooks.noticed.is_some()
    }
}

const fn field(hooks: &mut Hooks, purpose: Purpose) -> &mut Option<String> {
    match purpose {
        Purpose::Keepalive => &mut hooks.keepalive,
        Purpose::Death => &mut hooks.death,
        Purpose::Reset => &mut hooks.reset,
        Purpose::Connect => &mut hooks.connect,
        Purpose::Accept => &mut hooks.accept,
        Purpose::Destroy => &mut hooks.destroy,
        Purpose::Passed => &mut hooks.passed,
        Purpose::Process => &mut hooks.process,
        Purpose::Noticed => &mut hooks.noticed,
    }
}

/// The functions and tracepoints that are hooked for a purpose.
fn watched(purpose: Purpose, outcomes: &[Outcome], types: &KernelTypes) -> Option<String> {
    let names: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.hook.purpose == purpose && outcome.result.is_ok())
        .filter_map(|outcome| name(outcome.hook, types))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn name(hook: &Hook, types: &KernelTypes) -> Option<String> {
    match (hook.shown, hook.point) {
        (Shown::ByAnother, _) => None,
        (Shown::As(text), _) => Some(text.into()),
        (Shown::Point, Point::Fentry(candidates)) => {
            Some(format!("fentry {}", present(candidates, types)))
        }
        (Shown::Point, Point::Fexit(function)) => Some(format!("fexit {function}")),
        (Shown::Point, Point::Kprobe(function)) => Some(format!("kprobe {function}")),
        (Shown::Point, Point::Kretprobe(function)) => Some(format!("kretprobe {function}")),
        (Shown::Point, Point::Tracepoint { group, name }) => Some(format!("{group}:{name}")),
    }
}

fn missing(outcome: &Outcome) -> Option<String> {
    let error = outcome.result.as_ref().err()?;
    match outcome.hook.need {
        Need::Optional(instead) => {
            Some(format!("{}: {error}{instead}", outcome.hook.purpose.name()))
        }
        Need::Required | Need::Sees(_) => None,
    }
}

/// The calls that no hook sees, if the user wants to see them.
fn missing_calls(outcomes: &[Outcome], plan: &Plan<'_>) -> Option<String> {
    if !plan.noticed {
        return None;
    }
    let unseen: Vec<Call> = Call::ALL
        .into_iter()
        .filter(|call| *call != Call::Sendfile || plan.types.has_sendpage)
        .filter(|call| {
            !outcomes
                .iter()
                .any(|it| it.result.is_ok() && sees(it, *call))
        })
        .collect();
    let first = *unseen.first()?;
    // The last hook that was tried for it: the others were refused before.
    let refused = outcomes.iter().rev().find(|outcome| sees(outcome, first))?;
    let why = refused.result.as_ref().err()?;
    let names: Vec<&str> = unseen.into_iter().map(Call::name).collect();
    Some(format!(
        "{}: errors received by {} cannot be seen: {why}",
        Purpose::Noticed.name(),
        names.join(", ")
    ))
}

fn sees(outcome: &Outcome, call: Call) -> bool {
    match outcome.hook.need {
        Need::Sees(calls) => calls.contains(&call),
        Need::Required | Need::Optional(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{
        error::HostError,
        kernel_info::{functions::Functions, layout::KernelTypes},
    };

    /// As if the kernel took all hooks of a backend but the refused ones.
    fn attached(attach: Attach, noticed: bool, write_err: bool, refused: &[&str]) -> Attached {
        let types = KernelTypes {
            has_sendpage: true,
            functions: vec![("sk_getsockopt", 1)],
            ..KernelTypes::of_this_kernel().unwrap()
        };
        let functions = Functions::of(&[]);
        let plan = Plan {
            attach,
            types: &types,
            functions: &functions,
            write_err,
            noticed,
        };
        let mut outcomes = super::super::programs::tests::simulated(&plan, refused);
        outcomes.reverse();
        Attached::of(outcomes, &plan, "asked for".into(), 250)
    }

    #[test]
    fn trampolines_see_everything() {
        let attached = attached(Attach::Fentry, true, true, &[]);
        let hooks = attached.hooks;
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(hooks.keepalive, some("fentry/fexit tcp_keepalive_timer"));
        assert_eq!(hooks.death, some("tcp_write_err, sock:inet_sock_set_state"));
        assert_eq!(hooks.reset, some("tcp:tcp_receive_reset"));
        assert_eq!(hooks.connect, some("sock:inet_sock_set_state"));
        assert_eq!(hooks.accept, some("fexit inet_csk_accept"));
        assert_eq!(hooks.destroy, some("tcp:tcp_destroy_sock"));
        assert_eq!(hooks.passed, some("fentry security_file_receive"));
        assert_eq!(
            hooks.process,
            some("sched:sched_wakeup_new, task:task_rename, sched:sched_process_exit")
        );
        assert_eq!(
            hooks.noticed,
            some("fentry release_sock, fentry sk_getsockopt")
        );
        assert_eq!(attached.missing, [""; 0]);
    }

    #[test]
    fn kprobes_take_the_timer_and_trampolines_the_rest() {
        let hooks = attached(Attach::Kprobe, false, false, &[]).hooks;
        assert_eq!(
            hooks.keepalive.as_deref(),
            Some("kprobe/kretprobe tcp_keepalive_timer")
        );
        assert_eq!(hooks.death.as_deref(), Some("sock:inet_sock_set_state"));
        assert_eq!(hooks.noticed.as_deref(), Some("fentry release_sock"));
    }

    #[test]
    fn the_tracepoint_backend_says_what_it_lacks() {
        let attached = attached(Attach::Tracepoint, true, false, &[]);
        assert_eq!(
            attached.hooks.noticed.as_deref(),
            Some("sock:sock_recv_length, sock:sock_send_length")
        );
        let no = HostError::NoTrampolines;
        assert_eq!(
            attached.missing,
            [
                format!("accept: {no}; accepted sockets are found by scanning descriptors"),
                format!(
                    "passed: {no}; a socket passed to another process is found by scanning \
                     descriptors"
                ),
                format!(
                    "noticed: errors received by connect, splice, sendfile, getsockopt cannot be \
                     seen: {no}"
                ),
            ]
        );
    }

    #[test]
    fn calls_that_are_not_seen_have_the_reason_of_the_first() {
        let attached = attached(Attach::Tracepoint, true, false, &["noticed_recv"]);
        assert_eq!(
            attached.missing.last().map(String::as_str),
            Some(
                "noticed: errors received by recv, connect, splice, sendfile, getsockopt cannot be \
                 seen: katrace's kernel half has no noticed_recv"
            )
        );
    }

    #[test]
    fn what_is_not_wanted_is_not_missing() {
        let attached = attached(Attach::Tracepoint, false, false, &["reset_receive"]);
        assert!(!attached.missing.iter().any(|text| text.contains("noticed")));
        assert!(
            attached
                .missing
                .contains(&"reset: katrace's kernel half has no reset_receive".to_owned())
        );
    }
}
