//! What a row of the [table](super::table) says about one hook.

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

/// When a hook is tried.
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
    /// When it is tried.
    pub condition: Condition,
    /// Another program for the same point, attached once katrace is ready: see
    /// [`reentrancy_guards`](super::reentrancy_guards).
    pub guard: Option<&'static str>,
    /// How `ready.hooks` names it.
    pub shown: Shown,
}

/// All backends.
pub const ALL_BACKENDS: &[Attach] = &[Attach::Fentry, Attach::Kprobe, Attach::Tracepoint];
/// The tracepoint backend is for kernels without trampolines. It uses none on other kernels either, so it behaves the
/// same everywhere.
pub const WITH_TRAMPOLINES: &[Attach] = &[Attach::Fentry, Attach::Kprobe];

impl Hook {
    /// A required hook of all backends, without condition or guard.
    pub const fn new(purpose: Purpose, program: &'static str, point: Point, turn: Turn) -> Self {
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

    /// Only these backends use it.
    pub const fn only(mut self, backends: &'static [Attach]) -> Self {
        self.backends = backends;
        self
    }

    /// katrace goes on without it; `instead` follows the error in `ready.missing`.
    pub const fn optional(mut self, instead: &'static str) -> Self {
        self.need = Need::Optional(instead);
        self
    }

    /// Its purpose is to see these calls; katrace goes on without it.
    pub const fn sees(mut self, calls: &'static [Call]) -> Self {
        self.need = Need::Sees(calls);
        self
    }

    /// It is tried only under this condition.
    pub const fn when(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// This other program guards it against skipped runs.
    pub const fn guarded_by(mut self, program: &'static str) -> Self {
        self.guard = Some(program);
        self
    }

    /// How `ready.hooks` names it.
    pub const fn shown(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }
}

/// The point of a tracepoint.
pub const fn tracepoint(group: &'static str, name: &'static str) -> Point {
    Point::Tracepoint { group, name }
}
