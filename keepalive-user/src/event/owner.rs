//! Who holds a socket, and what is known of that process.

use std::sync::Arc;

/// Who holds a socket, and how katrace knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The holder most likely to be using the socket; `None` if unknown.
    pub process: Option<Process>,
    /// Every holder that is known.
    pub holders: Vec<Holder>,
    /// The evidence for [`Owner::process`]; `None` where there is no such process.
    pub from: Option<OwnerFrom>,
}

/// A process, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Thread group id in the host's pid namespace, or in katrace's own where katrace runs in another.
    pub pid: u32,
    /// The name that the kernel keeps: up to 15 bytes of any value but NUL, lossily decoded. Not safe
    /// for a terminal.
    pub comm: Arc<str>,
    /// `None` when the process ended before more could be read.
    pub details: Option<Arc<Details>>,
}

/// What /proc says of a process beyond its name. Texts are lossily decoded and not safe for a
/// terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The parent's pid.
    pub ppid: u32,
    /// The effective user id.
    pub uid: u32,
    /// The path of the executable. `None` where the kernel does not show it: the process belongs to
    /// another user, or the file was removed.
    pub exe: Option<String>,
    /// Arguments joined by spaces, cut at [`Details::CMDLINE_MAX`] bytes.
    pub cmdline: Option<String>,
    /// What its cgroup says; `None` where that could not be read.
    pub place: Option<Place>,
}

impl Details {
    /// How many bytes of a command line are kept.
    pub const CMDLINE_MAX: usize = 256;
}

/// What the cgroup of a process says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The cgroup2 path, or a cgroup1 path where that one says more. At most PATH_MAX bytes, lossily
    /// decoded; not safe for a terminal.
    pub path: String,
    /// The innermost container.
    pub container: Option<Container>,
    /// The uid of the innermost Kubernetes pod, with dashes. A static pod has a hash without dashes.
    pub pod: Option<String>,
    /// The innermost systemd unit, as systemd writes it: `nginx.service`, `session-3.scope`. A user's
    /// own unit is preferred to the manager that runs it. A slice is not a unit here.
    pub unit: Option<String>,
}

/// A container, by the name that its runtime gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits in most cases. LXC and systemd-nspawn use names.
    pub id: String,
    /// `None` where the path does not show it, and for runtimes that [`Runtime`] does not list.
    pub runtime: Option<Runtime>,
}

/// The program that made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// containerd, without Docker.
    Containerd,
    /// CRI-O.
    CriO,
    /// Podman.
    Podman,
}

/// A process that holds the socket, and through which descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub process: Process,
    /// Its descriptor; `None` when only the process is known.
    pub fd: Option<u32>,
}

/// Evidence for [`Owner::process`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerFrom {
    /// It called connect.
    Connect,
    /// It called accept.
    Accept,
    /// It descends from a process that held the socket when it began.
    Inherited,
    /// It received the descriptor from another process.
    Passed,
    /// Its descriptor table shows the socket.
    Scan,
    /// No holder is left; this is the last one known.
    Last,
}
