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

impl Attached {
    /// Attaches lifetimes, processes and deaths. Lifetimes first, so that nothing is born unseen.
    pub(super) fn hook(
        &mut self,
        programs: &mut Programs<'_>,
        plan: &Plan<'_>,
    ) -> Result<(), HostError> {
        attach::raw_tracepoint(programs, "lifetime_destroy", "tcp_destroy_sock")?;
        self.hooks.destroy = Some("tcp:tcp_destroy_sock".into());
        attach::raw_tracepoint(programs, "process_fork", "sched_process_fork")?;
        attach::raw_tracepoint(programs, "process_fork_twin", "sched_process_fork")?;
        attach::raw_tracepoint(programs, "process_rename", "task_rename")?;
        attach::raw_tracepoint(programs, "process_rename_twin", "task_rename")?;
        attach::raw_tracepoint(programs, "process_exit", "sched_process_exit")?;
        attach::raw_tracepoint(programs, "process_exit_twin", "sched_process_exit")?;
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
        Ok(())
    }

    /// Optional: without it accepted sockets are found by the scan.
    pub(super) fn accept(&mut self, programs: &mut Programs<'_>, plan: &Plan<'_>) {
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

    /// Takes in what was attached on the other thread.
    pub(super) fn watches(&mut self, calls: Calls, passed: Result<(), HostError>) {
        self.hooks.noticed = calls.hooks;
        self.missing.extend(calls.missing);
        match passed {
            Ok(()) => self.hooks.passed = Some("fentry security_file_receive".into()),
            Err(error) => self.missing.push(format!(
                "passed: {error}; a socket passed to another process is found by scanning \
                 descriptors"
            )),
        }
    }
}

/// Attaches where descriptors are received. Optional: without it a socket that was passed on is found
/// by the scan.
pub(super) fn passed(programs: &mut Programs<'_>, plan: &Plan<'_>) -> Result<(), HostError> {
    plan.trampoline(
        programs,
        Trampoline::Entry,
        "passed_fentry",
        "security_file_receive",
    )
}

/// Which calls that may receive an error are watched.
pub(super) struct Calls {
    hooks: Option<String>,
    missing: Option<String>,
}

/// Attaches where errors are received. Optional: without it an error received so goes unseen. All but
/// getsockopt are watched in any case, as they tell who uses a socket that several hold.
pub(super) fn calls(programs: &mut Programs<'_>, plan: &Plan<'_>) -> Calls {
    let mut calls = Watched::default();
    let release = plan.trampoline(
        programs,
        Trampoline::Entry,
        "noticed_release_fentry",
        "release_sock",
    );
    match release {
        Ok(()) => calls.hooked.push("fentry release_sock".into()),
        Err(error) => {
            for (call, program, tracepoint) in [
                ("recv", "noticed_recv", "sock_recv_length"),
                ("send", "noticed_send", "sock_send_length"),
            ] {
                let result = attach::raw_tracepoint(programs, program, tracepoint);
                calls.add(call, format!("sock:{tracepoint}"), result);
            }
            calls.unseen.push(("connect", error));
            calls.unseen.push(("splice", HostError::NoTrampolines));
            // Where it is gone, sendfile sends like any other call.
            if plan.types.has_sendpage {
                calls.unseen.push(("sendfile", HostError::NoTrampolines));
            }
        }
    }
    if plan.noticed {
        // The first hands over to the second, which may be inlined there.
        let function = if plan.types.has_sock_getsockopt {
            "sock_getsockopt"
        } else {
            "sk_getsockopt"
        };
        let result = plan.trampoline(
            programs,
            Trampoline::Entry,
            "noticed_getsockopt_fentry",
            function,
        );
        calls.add("getsockopt", format!("fentry {function}"), result);
    }
    calls.told(plan)
}

#[derive(Default)]
struct Watched {
    hooked: Vec<String>,
    unseen: Vec<(&'static str, HostError)>,
}

impl Watched {
    fn add(&mut self, call: &'static str, hook: String, result: Result<(), HostError>) {
        match result {
            Ok(()) => self.hooked.push(hook),
            Err(error) => self.unseen.push((call, error)),
        }
    }

    fn told(self, plan: &Plan<'_>) -> Calls {
        let missing = self
            .unseen
            .first()
            .filter(|_| plan.noticed)
            .map(|(_, why)| {
                let calls: Vec<&str> = self.unseen.iter().map(|(call, _)| *call).collect();
                format!(
                    "noticed: errors received by {} cannot be seen: {why}",
                    calls.join(", ")
                )
            });
        Calls {
            hooks: (!self.hooked.is_empty()).then(|| self.hooked.join(", ")),
            missing,
        }
    }
}

impl Plan<'_> {
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
