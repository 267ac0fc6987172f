//! What the user can do when this host refuses.

use std::io;

use aya::programs::ProgramError;

use super::{
    error::{BtfError, HostError, VMLINUX},
    kernel_info::lockdown,
};

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
                "katrace takes every offset from {VMLINUX}: it needs a kernel with \
                 CONFIG_DEBUG_INFO_BTF"
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
            Self::Program { source, .. } if is_eperm(source) => when_forbidden(),
            Self::Load(_) | Self::Program { .. } | Self::NoTrampolines => when_not_supported(),
            Self::Object(_) => "rebuild it with `cargo xtask build`".into(),
            Self::Row(_)
            | Self::Thread { .. }
            | Self::Io { .. }
            | Self::Map { .. }
            | Self::Log(_) => {
                "this should not happen: please report it with the kernel's version".into()
            }
        }
    }
}

fn is_eperm(error: &ProgramError) -> bool {
    let kind = match error {
        ProgramError::LoadError { io_error, .. } => io_error.kind(),
        ProgramError::SyscallError(error) => error.io_error.kind(),
        _ => return false,
    };
    kind == io::ErrorKind::PermissionDenied
}

fn when_forbidden() -> String {
    match lockdown::mode().as_deref() {
        Some(mode @ ("integrity" | "confidentiality")) => when_locked_down(mode),
        _ => "this kernel or a security module forbids this kind of program; --attach auto takes \
              the first kind that is allowed"
            .into(),
    }
}

fn when_not_supported() -> String {
    match lockdown::mode().as_deref() {
        Some("none") | None => {
            "katrace -v shows more; see docs/kernels.md for what a kernel must offer".into()
        }
        Some(mode) => when_locked_down(mode),
    }
}

fn when_locked_down(mode: &str) -> String {
    format!("kernel lockdown is in {mode} mode: BPF may read kernel memory only without it")
}
