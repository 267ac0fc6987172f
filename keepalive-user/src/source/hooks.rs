//! Which hook serves which purpose, and what is said where a kernel has none.

use super::{
    attach::{self, Programs, Trampoline},
    error::HostError,
    functions::Functions,
    layout::KernelTypes,
};
use crate::event::{Attach, Hooks};

/// How it is attached, for the first record.
#[derive(Clone, Debug)]
pub struct Attached {
    pub attach: Attach,
    /// Why this backend.
    pub reason: String,
    pub hooks: Hooks,
    /// What cannot be seen, a sentence each.
    pub missing: Vec<String>,
    /// Jiffies per second, to read the records by.
    pub hz: u32,
}

/// What decides which hooks are tried.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    pub attach: Attach,
    pub types: &'a KernelTypes,
    pub functions: &'a Functions<'a>,
    /// Also hook `tcp_write_err`, where it is a function of its own.
    pub write_err: bool,
    /// Errors received are asked for.
    pub noticed: bool,
}

/// The calls that may receive an error, with the hooks that see each, the preferred first.
const CALLS: [(&str, &[CallHook]); 6] = [
    (
        "recv",
        &[
            CallHook::Tracepoint("noticed_recv", "sock_recv_length"),
            CallHook::Function(Trampoline::Return, "noticed_recvmsg_fexit", "tcp_recvmsg"),
        ],
    ),
    (
        "send",
        &[
            CallHook::Tracepoint("noticed_send", "sock_send_length"),
            CallHook::Function(Trampoline::Return, "noticed_sendmsg_fexit", "tcp_sendmsg"),
        ],
    ),
    (
        "connect",
        &[CallHook::Function(
            Trampoline::Return,
            "noticed_connect_fexit",
            "inet_stream_connect",
        )],
    ),
    (
        "getsockopt",
        &[
            CallHook::Function(
                Trampoline::Entry,
                "noticed_getsockopt_fentry",
                "sock_getsockopt",
            ),
            CallHook::Function(
                Trampoline::Entry,
                "noticed_getsockopt_fentry",
                "sk_getsockopt",
            ),
        ],
    ),
    (
        "splice",
        &[CallHook::Function(
            Trampoline::Return,
            "noticed_splice_fexit",
            "tcp_splice_read",
        )],
    ),
    (
        "sendfile",
        &[CallHook::Function(
            Trampoline::Return,
            "noticed_sendpage_fexit",
            "tcp_sendpage",
        )],
    ),
];

/// A program and what it is attached to.
#[derive(Clone, Copy)]
enum CallHook {
    Tracepoint(&'static str, &'static str),
    Function(Trampoline, &'static str, &'static str),
}

impl Attached {
    /// Attaches all but the timer. Lifetimes first, so that nothing is born unseen.
    pub(super) fn hook(
        &mut self,
        programs: &mut Programs<'_>,
        plan: &Plan<'_>,
    ) -> Result<(), HostError> {
        attach::raw_tracepoint(programs, "lifetime_destroy", "tcp_destroy_sock")?;
        self.hooks.destroy = Some("tcp:tcp_destroy_sock".into());
        attach::raw_tracepoint(programs, "process_fork", "sched_process_fork")?;
        attach::raw_tracepoint(programs, "process_rename", "task_rename")?;
        attach::raw_tracepoint(programs, "process_exit", "sched_process_exit")?;
        self.hooks.process =
            Some("sched:sched_process_fork, task:task_rename, sched:sched_process_exit".into());
        attach::raw_tracepoint(programs, "lifetime_set_state", "inet_sock_set_state")?;
        attach::raw_tracepoint(programs, "lifetime_set_state_twin", "inet_sock_set_state")?;
        self.hooks.connect = Some("sock:inet_sock_set_state".into());
        attach::raw_tracepoint(programs, "death_set_state", "inet_sock_set_state")?;
        self.hooks.death = Some("sock:inet_sock_set_state".into());
        if plan.write_err {
            attach::write_err(programs, plan.attach, plan.functions)?;
            self.hooks.death = Some("tcp_write_err, sock:inet_sock_set_state".into());
        }
        match attach::raw_tracepoint(programs, "reset_receive", "tcp_receive_reset") {
            Ok(()) => self.hooks.reset = Some("tcp:tcp_receive_reset".into()),
            Err(error) => self.missing.push(format!("reset: {error}")),
        }
        self.accept(programs, plan);
        self.passed(programs, plan);
        Ok(())
    }

    /// Optional: without it accepted sockets are found by the scan.
    fn accept(&mut self, programs: &mut Programs<'_>, plan: &Plan<'_>) {
        match plan.trampoline(
            programs,
            Trampoline::Return,
            "accept_fexit",
            "inet_csk_accept",
        ) {
            Ok(()) => self.hooks.accept = Some("fexit inet_csk_accept".into()),
            Err(error) => self.missing.push(format!(
                "accept: {error}; accepted sockets are found by scanning descriptors"
            )),
        }
    }

    /// Optional: without it a socket that was passed on is found by the scan.
    fn passed(&mut self, programs: &mut Programs<'_>, plan: &Plan<'_>) {
        match plan.trampoline(
            programs,
            Trampoline::Entry,
            "passed_fentry",
            "security_file_receive",
        ) {
            Ok(()) => self.hooks.passed = Some("fentry security_file_receive".into()),
            Err(error) => self.missing.push(format!(
                "passed: {error}; a socket passed to another process is found by scanning \
                 descriptors"
            )),
        }
    }

    /// Takes in which calls are watched.
    pub(super) fn watches(&mut self, calls: Calls) {
        self.hooks.noticed = calls.hooks;
        self.missing.extend(calls.missing);
    }
}

/// Which calls that may receive an error are watched.
pub(super) struct Calls {
    hooks: Option<String>,
    missing: Option<String>,
}

/// Attaches to the calls that may receive an error. Optional, each by itself: without it an error
/// received so goes unseen. Receiving and sending are watched in any case, as they tell who uses a
/// socket that several hold.
pub(super) fn calls(programs: &mut Programs<'_>, plan: &Plan<'_>) -> Calls {
    let mut hooked: Vec<String> = Vec::new();
    let mut unseen: Vec<(&str, HostError)> = Vec::new();
    for (call, hooks) in CALLS {
        if !plan.noticed && !matches!(call, "recv" | "send") {
            continue;
        }
        // Where it is gone, sendfile sends like any other call.
        if call == "sendfile" && plan.types.arguments.sendpage.is_none() {
            continue;
        }
        match plan.call(programs, hooks) {
            Ok(hook) => hooked.push(hook),
            Err(error) => unseen.push((call, error)),
        }
    }
    let missing = unseen.first().filter(|_| plan.noticed).map(|(_, why)| {
        let calls: Vec<&str> = unseen.iter().map(|(call, _)| *call).collect();
        format!(
            "noticed: errors received by {} cannot be seen: {why}",
            calls.join(", ")
        )
    });
    Calls {
        hooks: (!hooked.is_empty()).then(|| hooked.join(", ")),
        missing,
    }
}

impl Plan<'_> {
    /// Attaches the first of these that this kernel has; says which.
    fn call(&self, programs: &mut Programs<'_>, hooks: &[CallHook]) -> Result<String, HostError> {
        let mut refused = Err(HostError::NoTrampolines);
        for hook in hooks {
            let (result, name) = match *hook {
                CallHook::Tracepoint(program, tracepoint) => (
                    attach::raw_tracepoint(programs, program, tracepoint),
                    format!("sock:{tracepoint}"),
                ),
                CallHook::Function(which, program, function) => {
                    if function == "sock_getsockopt"
                        && self.types.arguments.sock_getsockopt.is_none()
                    {
                        continue;
                    }
                    (
                        self.trampoline(programs, which, program, function),
                        format!("{} {function}", which.name()),
                    )
                }
            };
            match result {
                Ok(()) => return Ok(name),
                Err(error) => refused = Err(error),
            }
        }
        refused
    }

    /// The tracepoint backend is for kernels that have no trampolines, and tested as it runs there.
    fn trampoline(
        &self,
        programs: &mut Programs<'_>,
        which: Trampoline,
        program: &'static str,
        function: &str,
    ) -> Result<(), HostError> {
        match self.attach {
            Attach::Fentry | Attach::Kprobe => {
                attach::trampoline(programs, which, program, function, self.functions)
            }
            Attach::Tracepoint => Err(HostError::NoTrampolines),
        }
    }
}
