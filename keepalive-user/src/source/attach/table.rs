//! Every hook of the kernel half, one row each: what it is for, its program, the kernel function or
//! tracepoint, the backends that use it, and what is missing without it.
//!
//! A new hook is one row here and its program in the kernel half. A test compares the table with the
//! programs in the object. A new [`Purpose`] or [`Call`] is named by the compiler where it is used.

use crate::event::Attach;

/// What a hook is for; a field of [`crate::event::Hooks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Expiries of the keepalive timer.
    Keepalive,
    /// Connections that the kernel gave up.
    Death,
    /// RSTs received.
    Reset,
    /// Sockets that connect.
    Connect,
    /// Sockets that are accepted.
    Accept,
    /// Sockets that are freed.
    Destroy,
    /// Descriptors that are passed to another process.
    Passed,
    /// Beginnings, names and ends of processes.
    Process,
    /// Errors that a process receives from the kernel, and use of sockets.
    Noticed,
}

impl Purpose {
    /// In the order of docs/events.md.
    pub const ALL: [Self; 9] = [
        Self::Keepalive,
        Self::Death,
        Self::Reset,
        Self::Connect,
        Self::Accept,
        Self::Destroy,
        Self::Passed,
        Self::Process,
        Self::Noticed,
    ];

    /// The name in the record `ready`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::Death => "death",
            Self::Reset => "reset",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Destroy => "destroy",
            Self::Passed => "passed",
            Self::Process => "process",
            Self::Noticed => "noticed",
        }
    }
}

/// Where a program is attached, and of which kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The entry of a kernel function, by trampoline. The first of these that the kernel has.
    Fentry(&'static [&'static str]),
    /// The return of a kernel function, by trampoline.
    Fexit(&'static str),
    /// The entry of a kernel function, by kprobe.
    Kprobe(&'static str),
    /// The return of a kernel function, by kretprobe.
    Kretprobe(&'static str),
    /// A tracepoint, attached raw: without tracefs.
    Tracepoint {
        /// For people: attaching does not need it.
        group: &'static str,
        /// The tracepoint's name.
        name: &'static str,
    },
}

/// When a hook is attached. Hooks of one turn are attached in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ends of sockets, and processes. Before sockets are remembered, so that each is forgotten.
    Ends,
    /// The first trampoline.
    FirstTrampoline,
    /// All that begins to remember sockets.
    Beginnings,
    /// The keepalive timer.
    Timer,
    /// Calls that use a socket.
    Calls,
}

impl Turn {
    /// All turns.
    pub const ALL: [Self; 5] = [
        Self::Ends,
        Self::FirstTrampoline,
        Self::Beginnings,
        Self::Timer,
        Self::Calls,
    ];
}

/// What happens where a hook cannot be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The backend is refused.
    Required,
    /// `ready.missing` has the error and this, which says what katrace does instead.
    Optional(&'static str),
    /// `ready.missing` lists the calls that no other hook sees.
    Sees(&'static [Call]),
}

/// What must be so for a hook to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    None,
    /// [`super::Plan::write_err`].
    WriteErr,
    /// [`super::Plan::noticed`].
    NoticedWanted,
    /// This program, of the same turn, could not be attached.
    Without(&'static str),
}

/// A call in which a process may receive an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// recv(2), read(2) and others that receive.
    Recv,
    /// send(2), write(2) and others that send.
    Send,
    /// connect(2).
    Connect,
    /// splice(2).
    Splice,
    /// sendfile(2), where the kernel has `tcp_sendpage`. Elsewhere it sends as send(2) does.
    Sendfile,
    /// getsockopt(2) with `SO_ERROR`.
    Getsockopt,
}

impl Call {
    /// In the order in which `ready.missing` lists them.
    pub const ALL: [Self; 6] = [
        Self::Recv,
        Self::Send,
        Self::Connect,
        Self::Splice,
        Self::Sendfile,
        Self::Getsockopt,
    ];

    /// The name in `ready.missing`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recv => "recv",
            Self::Send => "send",
            Self::Connect => "connect",
            Self::Splice => "splice",
            Self::Sendfile => "sendfile",
            Self::Getsockopt => "getsockopt",
        }
    }
}

/// How a hook is named in `ready.hooks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// By its [`Point`].
    Point,
    /// By this text.
    As(&'static str),
    /// Another hook of the same purpose names it too.
    ByAnother,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What it is for.
    pub purpose: Purpose,
    /// The program's name in the object.
    pub program: &'static str,
    /// Where it is attached.
    pub point: Point,
    /// When it is attached.
    pub turn: Turn,
    /// The backends that use it.
    pub backends: &'static [Attach],
    /// What happens without it.
    pub need: Need,
    /// What must be so for it to be tried.
    pub condition: Condition,
    /// The program attached a second time once katrace is ready: see
    /// [`reentrancy_guards`](super::reentrancy_guards).
    pub guard: Option<&'static str>,
    /// How `ready.hooks` names it.
    pub shown: Shown,
}

const ALL_BACKENDS: &[Attach] = &[Attach::Fentry, Attach::Kprobe, Attach::Tracepoint];
/// The tracepoint backend is for kernels without trampolines, and runs everywhere as it runs there.
const WITH_TRAMPOLINES: &[Attach] = &[Attach::Fentry, Attach::Kprobe];

impl Hook {
    /// A required hook of all backends, without condition or guard.
    const fn new(purpose: Purpose, program: &'static str, point: Point, turn: Turn) -> Self {
        Self {
            purpose,
            program,
            point,
            turn,
            backends: ALL_BACKENDS,
            need: Need::Required,
            condition: Condition::None,
            guard: None,
            shown: Shown::Point,
        }
    }

    const fn only(mut self, backends: &'static [Attach]) -> Self {
        self.backends = backends;
        self
    }

    /// `instead` follows the error in `ready.missing`.
    const fn optional(mut self, instead: &'static str) -> Self {
        self.need = Need::Optional(instead);
        self
    }

    const fn sees(mut self, calls: &'static [Call]) -> Self {
        self.need = Need::Sees(calls);
        self
    }

    const fn when(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    const fn guarded_by(mut self, program: &'static str) -> Self {
        self.guard = Some(program);
        self
    }

    const fn shown(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }
}

const fn tracepoint(group: &'static str, name: &'static str) -> Point {
    Point::Tracepoint { group, name }
}

/// The function that the keepalive timer runs (net/ipv4/tcp_timer.c).
const KEEPALIVE: &str = "tcp_keepalive_timer";
const WRITE_ERR: &str = "tcp_write_err";
const SET_STATE: Point = tracepoint("sock", "inet_sock_set_state");

/// All hooks. `ready.hooks` and `ready.missing` list them in this order.
pub static HOOKS: &[Hook] = &[
    Hook::new(
        Purpose::Destroy,
        "lifetime_destroy",
        tracepoint("tcp", "tcp_destroy_sock"),
        Turn::Ends,
    ),
    Hook::new(
        Purpose::Process,
        "process_fork",
        tracepoint("sched", "sched_wakeup_new"),
        Turn::Ends,
    ),
    Hook::new(
        Purpose::Process,
        "process_rename",
        tracepoint("task", "task_rename"),
        Turn::Ends,
    )
    .guarded_by("process_rename_twin"),
    Hook::new(
        Purpose::Process,
        "process_exit",
        tracepoint("sched", "sched_process_exit"),
        Turn::Ends,
    )
    .guarded_by("process_exit_twin"),
    Hook::new(
        Purpose::Accept,
        "accept_fexit",
        Point::Fexit("inet_csk_accept"),
        Turn::FirstTrampoline,
    )
    .only(WITH_TRAMPOLINES)
    .optional("; accepted sockets are found by scanning descriptors"),
    Hook::new(
        Purpose::Connect,
        "lifetime_set_state",
        SET_STATE,
        Turn::Beginnings,
    )
    .guarded_by("lifetime_set_state_twin"),
    // Before `death_set_state`, which takes no death for a timeout that these have not seen.
    Hook::new(
        Purpose::Death,
        "write_err_fentry",
        Point::Fentry(&[WRITE_ERR]),
        Turn::Beginnings,
    )
    .only(&[Attach::Fentry])
    .when(Condition::WriteErr)
    .shown(Shown::As(WRITE_ERR)),
    Hook::new(
        Purpose::Death,
        "write_err_kprobe",
        Point::Kprobe(WRITE_ERR),
        Turn::Beginnings,
    )
    .only(&[Attach::Kprobe])
    .when(Condition::WriteErr)
    .shown(Shown::As(WRITE_ERR)),
    Hook::new(
        Purpose::Death,
        "death_set_state",
        SET_STATE,
        Turn::Beginnings,
    ),
    Hook::new(
        Purpose::Reset,
        "reset_receive",
        tracepoint("tcp", "tcp_receive_reset"),
        Turn::Beginnings,
    )
    .optional(""),
    Hook::new(
        Purpose::Passed,
        "passed_fentry",
        Point::Fentry(&["security_file_receive"]),
        Turn::Beginnings,
    )
    .only(WITH_TRAMPOLINES)
    .optional("; a socket passed to another process is found by scanning descriptors")
    .guarded_by("passed_fentry_twin"),
    // The exit before the entry: an exit alone is ignored, an entry alone would lose the probe.
    Hook::new(
        Purpose::Keepalive,
        "keepalive_fexit",
        Point::Fexit(KEEPALIVE),
        Turn::Timer,
    )
    .only(&[Attach::Fentry])
    .shown(Shown::ByAnother),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_fentry",
        Point::Fentry(&[KEEPALIVE]),
        Turn::Timer,
    )
    .only(&[Attach::Fentry])
    .shown(Shown::As("fentry/fexit tcp_keepalive_timer")),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_kretprobe",
        Point::Kretprobe(KEEPALIVE),
        Turn::Timer,
    )
    .only(&[Attach::Kprobe])
    .shown(Shown::ByAnother),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_kprobe",
        Point::Kprobe(KEEPALIVE),
        Turn::Timer,
    )
    .only(&[Attach::Kprobe])
    .shown(Shown::As("kprobe/kretprobe tcp_keepalive_timer")),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_expire_exit",
        tracepoint("timer", "timer_expire_exit"),
        Turn::Timer,
    )
    .only(&[Attach::Tracepoint])
    .shown(Shown::ByAnother),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_expire_entry",
        tracepoint("timer", "timer_expire_entry"),
        Turn::Timer,
    )
    .only(&[Attach::Tracepoint])
    .shown(Shown::As(
        "timer:timer_expire_entry, timer:timer_expire_exit",
    )),
    // Attached even if `noticed` is not wanted: it tells which of several holders uses a socket.
    Hook::new(
        Purpose::Noticed,
        "noticed_release_fentry",
        Point::Fentry(&["release_sock"]),
        Turn::Calls,
    )
    .only(WITH_TRAMPOLINES)
    .sees(&[
        Call::Recv,
        Call::Send,
        Call::Connect,
        Call::Splice,
        Call::Sendfile,
    ])
    .guarded_by("noticed_release_fentry_twin"),
    Hook::new(
        Purpose::Noticed,
        "noticed_recv",
        tracepoint("sock", "sock_recv_length"),
        Turn::Calls,
    )
    .sees(&[Call::Recv])
    .when(Condition::Without("noticed_release_fentry")),
    Hook::new(
        Purpose::Noticed,
        "noticed_send",
        tracepoint("sock", "sock_send_length"),
        Turn::Calls,
    )
    .sees(&[Call::Send])
    .when(Condition::Without("noticed_release_fentry")),
    // The first function calls the second, which the compiler may have inlined there. Attached among
    // the beginnings, on the thread that has less to do.
    Hook::new(
        Purpose::Noticed,
        "getsockopt_fentry",
        Point::Fentry(&["sock_getsockopt", "sk_getsockopt"]),
        Turn::Beginnings,
    )
    .only(WITH_TRAMPOLINES)
    .sees(&[Call::Getsockopt])
    .when(Condition::NoticedWanted),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_backend_watches_every_required_purpose() {
        for attach in ALL_BACKENDS {
            for purpose in [
                Purpose::Keepalive,
                Purpose::Death,
                Purpose::Connect,
                Purpose::Destroy,
                Purpose::Process,
            ] {
                let required = HOOKS.iter().any(|hook| {
                    hook.purpose == purpose
                        && hook.need == Need::Required
                        && hook.condition == Condition::None
                        && hook.backends.contains(attach)
                });
                assert!(required, "{} of {attach:?}", purpose.name());
            }
        }
    }

    #[test]
    fn a_replacement_follows_in_the_turn_of_what_it_replaces() {
        let place = |program| HOOKS.iter().position(|hook| hook.program == program);
        let mut replacements = 0;
        for (at, hook) in HOOKS.iter().enumerate() {
            if let Condition::Without(program) = hook.condition {
                let replaced = place(program).unwrap();
                assert!(replaced < at, "{}", hook.program);
                assert_eq!(HOOKS[replaced].turn, hook.turn, "{}", hook.program);
                replacements += 1;
            }
        }
        assert_eq!(replacements, 2);
    }
}
