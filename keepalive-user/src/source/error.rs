//! Why this host refuses, and what to do about it. All of these end in exit code 3.

use std::io;

use aya::{EbpfError, programs::ProgramError};

use super::btf::{self, BtfError};

/// The environment refuses: privilege, kernel, BTF, lockdown.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("missing {}", .0.join(", "))]
    Privilege(Vec<&'static str>),
    #[error("cannot read katrace's own capabilities: {0}")]
    Capabilities(#[source] io::Error),
    #[error(transparent)]
    Btf(#[from] BtfError),
    #[error("cannot read the kernel's BTF for trampolines: {0}")]
    TrampolineBtf(String),
    #[error("cannot read /proc/kallsyms: {0}")]
    Kallsyms(#[source] io::Error),
    #[error("/proc/kallsyms shows no address for tcp_keepalive_timer")]
    NoAddress,
    #[error("the kernel refuses katrace's maps: {}", chain(.0))]
    Load(#[source] EbpfError),
    #[error("the kernel cannot create a BPF ring buffer of {bytes} bytes: {source}")]
    Ring { bytes: u32, source: io::Error },
    #[error("{operation} {program}: {}", program_cause(.source))]
    Program {
        operation: &'static str,
        program: &'static str,
        source: ProgramError,
    },
    #[error("katrace's kernel half has no {0}")]
    Object(&'static str),
    #[error("the tracepoint backend uses no trampolines")]
    NoTrampolines,
    #[error(
        "the kernel's walk over descriptors numbers processes as the host does, and katrace runs in \
         a pid namespace of its own"
    )]
    PidNamespace,
    #[error("a thread of the start ended early")]
    Thread,
    #[error("{operation}: {source}")]
    Io {
        operation: &'static str,
        source: io::Error,
    },
    #[error("map {map}: {source}")]
    Map {
        map: &'static str,
        source: aya::maps::MapError,
    },
    #[error("no way to watch tcp_keepalive_timer is allowed here: {refusals}")]
    NoBackend {
        refusals: String,
        /// For the last one, which asks for the least.
        advice: String,
        /// Of the first backend that the verifier refused.
        verifier_log: Option<String>,
    },
    #[error("sockets cannot be iterated over here: {0}")]
    NoIterator(String),
    #[error("{operation} network namespace {netns}: {source}")]
    Namespace {
        operation: &'static str,
        netns: u32,
        source: io::Error,
    },
    #[error("sock_diag in network namespace {netns}: {cause}")]
    Diag { netns: u32, cause: String },
    #[error("--cgroup: this kernel's sock_diag does not tell a socket's cgroup")]
    NoSocketCgroup,
    #[error("a row of the listing is not as it should be: {0}")]
    Row(String),
    #[error("--cgroup needs {0}")]
    NoCgroup(BtfError),
    #[error("the kernel half's log cannot be read: {0}")]
    Log(#[source] aya_log::Error),
}

impl HostError {
    /// What to do, in one line.
    pub fn advice(&self) -> String {
        match self {
            Self::NoBackend { advice, .. } => advice.clone(),
            Self::Privilege(missing) if missing.contains(&"CAP_SYS_ADMIN") => {
                "run katrace as root, or list this network namespace only (-N self), which needs \
                 no CAP_SYS_ADMIN"
                    .into()
            }
            Self::Privilege(_) | Self::Capabilities(_) => {
                "run katrace as root, or give the binary CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and \
                 CAP_DAC_READ_SEARCH"
                    .into()
            }
            Self::Btf(BtfError::Read(_)) | Self::TrampolineBtf(_) => format!(
                "katrace takes every offset from {}: it needs a kernel with CONFIG_DEBUG_INFO_BTF",
                btf::VMLINUX
            ),
            Self::Btf(_) | Self::NoCgroup(_) => {
                "this kernel keeps it elsewhere: please report its version and this line".into()
            }
            Self::PidNamespace => {
                "--scan auto reads /proc here; or start katrace in the host's pid namespace".into()
            }
            Self::NoIterator(_) => {
                "--reader auto takes sock_diag where the iterator is refused".into()
            }
            Self::NoSocketCgroup => "leave --cgroup out, or select by -p or -c".into(),
            Self::Namespace { .. } => {
                "entering network namespaces needs CAP_SYS_ADMIN; -N self stays in this one".into()
            }
            Self::Diag { .. } => {
                "sock_diag needs a kernel with CONFIG_INET_DIAG, or its modules inet_diag and \
                 tcp_diag"
                    .into()
            }
            Self::Kallsyms(_) | Self::NoAddress => {
                "the tracepoint backend needs CAP_SYSLOG and kernel.kptr_restrict below 2".into()
            }
            Self::Ring { .. } => {
                "katrace needs Linux 5.8 or later; for a large --ring-size, also the memory".into()
            }
            Self::Program { source, .. } if is_eperm(source) => permission_advice(),
            Self::Load(_) | Self::Program { .. } | Self::NoTrampolines => {
                match lockdown().as_deref() {
                    Some("none") | None => "katrace -v shows more; see docs/limitations.md for \
                                            what a kernel must offer"
                        .into(),
                    Some(mode) => lockdown_advice(mode),
                }
            }
            Self::Object(_) => "rebuild it with `cargo xtask build`".into(),
            Self::Row(_) | Self::Thread | Self::Io { .. } | Self::Map { .. } | Self::Log(_) => {
                "this should not happen: please report it with the kernel's version".into()
            }
        }
    }

    /// The verifier's own words, when it was the verifier that refused.
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

    /// A failed load told apart: a ring buffer that cannot be had is a cause of its own.
    pub(super) fn from_load(error: EbpfError, ring_bytes: u32) -> Self {
        match error {
            EbpfError::MapError(aya::maps::MapError::CreateError { name, io_error })
                if name == "EVENTS" =>
            {
                Self::Ring {
                    bytes: ring_bytes,
                    source: io_error,
                }
            }
            error => Self::Load(error),
        }
    }
}

/// What the kernel answered, without the verifier's log: that is shown apart.
fn program_cause(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, .. } => io_error.to_string(),
        ProgramError::SyscallError(error) => format!("{}: {}", error.call, error.io_error),
        error => chain(error),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
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

fn is_eperm(error: &ProgramError) -> bool {
    let kind = match error {
        ProgramError::LoadError { io_error, .. } => io_error.kind(),
        ProgramError::SyscallError(error) => error.io_error.kind(),
        _ => return false,
    };
    kind == io::ErrorKind::PermissionDenied
}

fn permission_advice() -> String {
    match lockdown().as_deref() {
        Some(mode @ ("integrity" | "confidentiality")) => lockdown_advice(mode),
        _ => "this kernel or a security module forbids this kind of program; --attach auto takes \
              the first kind that is allowed"
            .into(),
    }
}

fn lockdown_advice(mode: &str) -> String {
    format!("kernel lockdown is in {mode} mode: BPF may read kernel memory only without it")
}

/// The active mode in /sys/kernel/security/lockdown, which stands in brackets.
fn lockdown() -> Option<String> {
    let text = std::fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}
