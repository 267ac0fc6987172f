//! Why this host refuses. Each of these errors ends katrace with exit code 3.
//!
//! [`HostError::advice`] says what to do about it; it is in `advice.rs`, since it asks the kernel.

use std::{error::Error, io};

use aya::{EbpfError, maps::MapError, programs::ProgramError};

/// Where the kernel offers its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why BTF gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file cannot be read: mostly a kernel without BTF.
    #[error("cannot read {VMLINUX}: {0}")]
    Read(#[source] io::Error),
    /// The bytes are not BTF, or of a later format.
    #[error("{VMLINUX} is not BTF as katrace knows it: {0}")]
    Malformed(&'static str),
    /// This kernel has no such structure, member, enumerator or function.
    #[error("the kernel's BTF has no {0}")]
    Missing(String),
}

/// The environment refuses: privilege, kernel, BTF, lockdown.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Capabilities that katrace does not have.
    #[error("missing {}", .0.join(", "))]
    Privilege(Vec<&'static str>),
    /// capget(2) failed.
    #[error("cannot read katrace's own capabilities: {0}")]
    Capabilities(#[source] io::Error),
    /// The layout of the kernel's structures is not known.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// aya refuses the BTF that trampolines are loaded with.
    #[error("cannot prepare BTF for trampolines: {0}")]
    TrampolineBtf(String),
    /// The kernel's symbols cannot be read.
    #[error("cannot read /proc/kallsyms: {0}")]
    Kallsyms(#[source] io::Error),
    /// The kernel's symbols have no address of the keepalive timer's function, or hide it.
    #[error("/proc/kallsyms shows no address for tcp_keepalive_timer")]
    NoAddress,
    /// The object cannot be loaded, or one of its maps not be created.
    #[error("the kernel refuses katrace's maps: {}", chain(.0))]
    Load(#[source] EbpfError),
    /// The ring buffer cannot be created.
    #[error("the kernel cannot create a BPF ring buffer of {bytes} bytes: {source}")]
    Ring {
        /// The size asked for.
        bytes: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A program cannot be loaded, attached or run.
    #[error("{operation} {program}: {}", program_cause(.source))]
    Program {
        /// What was tried, such as `loading`.
        operation: &'static str,
        /// The program's name in the object.
        program: &'static str,
        /// aya's or the kernel's answer.
        source: ProgramError,
    },
    /// The object in katrace lacks a program or map: it was built from other sources.
    #[error("katrace's kernel half has no {0}")]
    Object(&'static str),
    /// A hook needs a trampoline and this backend uses none.
    #[error("the tracepoint backend uses no trampolines")]
    NoTrampolines,
    /// The iterator over descriptors gives process ids of the host, and katrace is in a container.
    #[error(
        "the kernel's walk over descriptors numbers processes as the host does, and katrace runs in \
         a pid namespace of its own"
    )]
    PidNamespace,
    /// A thread of katrace panicked.
    #[error("{operation}: the thread ended early")]
    Thread {
        /// What the thread was to do.
        operation: &'static str,
    },
    /// A system call failed.
    #[error("{operation}: {source}")]
    Io {
        /// What was tried, with its object.
        operation: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A map of the kernel half cannot be opened, read or written.
    #[error("{operation} map {map}: {source}")]
    Map {
        /// What was tried, such as `reading`.
        operation: &'static str,
        /// The map's name in the object.
        map: &'static str,
        /// aya's or the kernel's answer.
        source: MapError,
    },
    /// Every backend that was tried was refused.
    #[error("no way to watch tcp_keepalive_timer is allowed here: {refusals}")]
    NoBackend {
        /// Each backend with its error.
        refusals: String,
        /// Of the last backend, which needs the least.
        advice: String,
        /// Of the first backend that the verifier refused.
        verifier_log: Option<String>,
    },
    /// The iterator over TCP sockets cannot be used, and why.
    #[error("sockets cannot be iterated over here: {0}")]
    NoIterator(String),
    /// A network namespace cannot be found or entered.
    #[error("{operation} network namespace {netns}: {source}")]
    Namespace {
        /// What was tried, such as `entering`.
        operation: &'static str,
        /// The namespace's inode number.
        netns: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// sock_diag does not list the sockets of a namespace.
    #[error("sock_diag in network namespace {netns}: {cause}")]
    Diag {
        /// The namespace's inode number.
        netns: u32,
        /// What went wrong.
        cause: String,
    },
    /// The kernel is too old to filter a listing by cgroup.
    #[error("--cgroup: this kernel's sock_diag does not tell a socket's cgroup")]
    NoSocketCgroup,
    /// A row of the iterator or of sock_diag cannot be read.
    #[error("a row of the listing is not as it should be: {0}")]
    Row(String),
    /// The kernel's structures have nothing to filter cgroups by.
    #[error("--cgroup needs {0}")]
    NoCgroup(BtfError),
    /// The log of the kernel half, for `-v`, cannot be followed.
    #[error("the kernel half's log cannot be read: {0}")]
    Log(#[source] aya_log::Error),
}

impl HostError {
    /// What the verifier wrote, when it was the verifier that refused.
    pub fn verifier_log(&self) -> Option<String> {
        match self {
            Self::Program {
                source: ProgramError::LoadError { verifier_log, .. },
                ..
            } => {
                let log = verifier_log.to_string();
                (!log.trim().is_empty()).then_some(log)
            }
            Self::NoBackend { verifier_log, .. } => verifier_log.clone(),
            _ => None,
        }
    }

    /// The error of a failed load. A ring buffer that cannot be created has advice of its own.
    pub(super) fn from_load(error: EbpfError, ring_bytes: u32) -> Self {
        match error {
            EbpfError::MapError(MapError::CreateError { name, io_error }) if name == "EVENTS" => {
                Self::Ring {
                    bytes: ring_bytes,
                    source: io_error,
                }
            }
            error => Self::Load(error),
        }
    }

    /// Turns aya's error about a program into a [`HostError`]; for `map_err`.
    pub(super) fn program(
        operation: &'static str,
        program: &'static str,
    ) -> impl Fn(ProgramError) -> Self {
        move |source| Self::Program {
            operation,
            program,
            source,
        }
    }

    /// Turns aya's error about a map into a [`HostError`]; for `map_err`.
    pub(super) fn map(operation: &'static str, map: &'static str) -> impl Fn(MapError) -> Self {
        move |source| Self::Map {
            operation,
            map,
            source,
        }
    }
}

/// The kernel's answer without the verifier's log, which is shown apart.
fn program_cause(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, .. } => io_error.to_string(),
        ProgramError::SyscallError(error) => format!("{}: {}", error.call, error.io_error),
        error => chain(error),
    }
}

/// An error and its causes in one line. Some errors name their cause themselves.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
