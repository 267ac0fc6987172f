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
    /// Attaches ends of sockets, and what becomes of processes.
    pub(super) fn lifetimes(&mut self, programs: &mut Programs<'_>) -> Result<(), HostError> {
        attach::raw_tracepoint(programs, "lifetime_destroy", "tcp_destroy_sock")?;
        self.hooks.destroy = Some("tcp:tcp_destroy_sock".into());
        attach::raw_tracepoint(programs, "process_fork", "sched_wakeup_new")?;
        attach::raw_tracepoint(programs, "process_rename", "task_rename")?;
        attach::raw_tracepoint(programs, "process_exit", "sched_process_exit")?;
        self.hooks.process =
            Some("sched:sched_wakeup_new, task:task_rename, sched:sched_process_exit".into());
        Ok(())
    }

    /// Attaches births, deaths and who is given descriptors. After the ends, so that nothing that is
    /// born stays for ever.
    pub(super) fn hook(
        &mut self,
        programs: &mut Programs<'_>,
        plan: &Plan<'_>,
    ) -> Result<(), HostError> {
        attach::raw_tracepoint(programs, "lifetime_set_state", "inet_sock_set_state")?;
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
        // Optional: without it a socket that was passed on is found by the scan.
        match plan.entry_with_twin(
            programs,
            ["passed_fentry", "passed_fentry_guard"],
            "security_file_receive",
        ) {
            Ok(()) => self.hooks.passed = Some("fentry security_file_receive".into()),
            Err(error) => self.missing.push(format!(
                "passed: {error}; a socket passed to another process is found by scanning \
                 descriptors"
            )),
        }
        Ok(())
    }

    /// Takes in whether accepting is watched. Optional: without it accepted sockets are found by the
    /// scan.
    pub(super) fn accepts(&mut self, accept: Result<(), HostError>) {
        match accept {
            Ok(()) => self.hooks.accept = Some("fexit inet_csk_accept".into()),
            Err(error) => self.missing.push(format!(
                "accept: {error}; accepted sockets are found by scanning descriptors"
            )),
        }
    }

    /// Takes in which calls are watched.
    pub(super) fn calls(&mut self, calls: Calls, plan: &Plan<'_>) {
        if let Some((_, why)) = calls.unseen.first().filter(|_| plan.noticed) {
            let unseen: Vec<&str> = calls.unseen.iter().map(|(call, _)| *call).collect();
            self.missing.push(format!(
                "noticed: errors received by {} cannot be seen: {why}",
                unseen.join(", ")
            ));
        }
        self.hooks.noticed = (!calls.hooked.is_empty()).then(|| calls.hooked.join(", "));
    }
}

/// Attaches where connections are accepted.
pub(super) fn accept(programs: &mut Programs<'_>, plan: &Plan<'_>) -> Result<(), HostError> {
    plan.trampoline(
        programs,
        Trampoline::Return,
        "accept_fexit",
        "inet_csk_accept",
    )
}

/// Which calls that may receive an error are watched.
#[derive(Default)]
pub(super) struct Calls {
    hooked: Vec<String>,
    unseen: Vec<(&'static str, HostError)>,
}

impl Calls {
    fn add(&mut self, call: &'static str, hook: String, result: Result<(), HostError>) {
        match result {
            Ok(()) => self.hooked.push(hook),
            Err(error) => self.unseen.push((call, error)),
        }
    }

    /// Both, watched on two threads.
    pub(super) fn and(mut self, more: Self) -> Self {
        self.hooked.extend(more.hooked);
        self.unseen.extend(more.unseen);
        self
    }
}

/// Attaches where a socket is used. Optional: without it an error received so goes unseen. Attached
/// whether that is asked for or not, as it tells who uses a socket that several hold.
pub(super) fn calls(programs: &mut Programs<'_>, plan: &Plan<'_>) -> Calls {
    let mut calls = Calls::default();
    let release = plan.entry_with_twin(
        programs,
        ["noticed_release_fentry", "noticed_release_fentry_guard"],
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
    calls
}

/// Attaches where an error is asked for without using the socket, if that is to be told.
pub(super) fn getsockopt(programs: &mut Programs<'_>, plan: &Plan<'_>) -> Calls {
    let mut calls = Calls::default();
    if plan.noticed {
        // The first hands over to the second, which may be inlined there.
        let function = if plan.types.has_sock_getsockopt {
            "sock_getsockopt"
        } else {
            "sk_getsockopt"
        };
        let result = plan.trampoline(programs, Trampoline::Entry, "getsockopt_fentry", function);
        calls.add("getsockopt", format!("fentry {function}"), result);
    }
    calls
}

impl Plan<'_> {
    /// A program at the entry of a function. Its twin is loaded, and attached later.
    fn entry_with_twin(
        &self,
        programs: &mut Programs<'_>,
        [first, twin]: [&'static str; 2],
        function: &str,
    ) -> Result<(), HostError> {
        self.trampoline(programs, Trampoline::Entry, first, function)?;
        attach::load_entry(programs, twin, function, self.functions)
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
