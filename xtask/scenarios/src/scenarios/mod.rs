//! The list of what katrace must show. One list for this host and for every guest.

mod audit;
mod audit_bench;
mod audit_path;
mod bad_input;
mod causes;
mod check;
mod dead_peer;
mod families;
mod filters;
mod holders;
mod load;
mod many;
mod noticed;
mod peers;
mod process;
mod quiet;
mod real_programs;
mod settings;
mod sockets;
mod sockets_agree;

use std::path::Path;

use anyhow::Result;

use crate::lab::{Katrace, Pair, Scene, Tracer, crowd::Crowd, many::Many, scene::explain};

/// The part of a scenario that runs once katrace is ready.
pub type Act = Box<dyn FnOnce(&Tracer) -> Result<()> + Send>;

pub type Prepare = fn() -> Result<Act>;

/// How a scenario is run.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Prepared before katrace starts, then run beside the others under one tracer.
    Shared(Prepare),
    /// After the shared ones and at the same time as others of this kind, with tracers of its own.
    Parallel(fn(&Katrace) -> Result<()>),
    /// Before all others, one at a time, with tracers of its own.
    Serial(fn(&Katrace) -> Result<()>),
    /// One at a time, with the crowd of sockets.
    Load(fn(&Katrace, &mut Crowd) -> Result<()>),
    /// After all other scenarios of all backends, one at a time, with the many processes.
    Many(fn(&Katrace, &mut Many) -> Result<()>),
    /// Once per kernel, one at a time.
    OncePerKernel(fn(&Katrace) -> Result<()>),
    /// The same with servers from the archive, on a host that has fetched them.
    Programs(fn(&Katrace, &Path) -> Result<()>),
}

pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
    /// Where the kernel lacks this feature, the scenario is neither run nor counted.
    pub needs: Option<Feature>,
}

/// What a kernel may be built without.
#[derive(Clone, Copy)]
pub struct Feature {
    pub name: &'static str,
    /// A path that exists where the kernel has the feature.
    path: &'static str,
}

impl Feature {
    const MPTCP: Self = Self {
        name: "MPTCP",
        path: "/proc/sys/net/mptcp",
    };

    pub fn is_there(self) -> bool {
        Path::new(self.path).exists()
    }
}

const fn scenario(name: &'static str, kind: Kind, about: &'static str) -> Scenario {
    Scenario {
        name,
        about,
        kind,
        needs: None,
    }
}

impl Scenario {
    const fn needs(self, feature: Feature) -> Self {
        Self {
            needs: Some(feature),
            ..self
        }
    }
}

pub const ALL: &[Scenario] = &[
    scenario(
        "dead-peer",
        Kind::Shared(dead_peer::connected_since),
        "three processes, in recv, in poll and not looking: three probes and a timeout each",
    ),
    scenario(
        "dead-peer-opened-before",
        Kind::Shared(dead_peer::opened_before),
        "the same with sockets opened before katrace",
    ),
    scenario(
        "dead-peer-accepted",
        Kind::Shared(dead_peer::accepted),
        "an accepted socket on the server's side",
    ),
    scenario(
        "user-timeout",
        Kind::Shared(causes::user_timeout),
        "TCP_USER_TIMEOUT decides, not the probe count",
    ),
    scenario(
        "unacknowledged-data",
        Kind::Shared(causes::unacknowledged_data),
        "data in flight: keepalive stalls, retransmission gives up",
    ),
    scenario(
        "zero-window",
        Kind::Shared(causes::zero_window),
        "a peer that never reads, then is gone: window probes give up",
    ),
    scenario(
        "connect-silent",
        Kind::Shared(causes::connect_silent),
        "connect to a silent host",
    ),
    scenario(
        "no-route",
        Kind::Shared(causes::no_route),
        "the way to the peer is lost: probes that are never handed to IP",
    ),
    scenario(
        "reset-on-probe",
        Kind::Shared(peers::reset_on_probe),
        "the peer forgot the connection and answers a probe with RST",
    ),
    scenario(
        "peer-comes-back",
        Kind::Shared(peers::comes_back),
        "the peer comes back after two lost probes",
    ),
    scenario(
        "live-peer",
        Kind::Shared(peers::alive),
        "each ordinary probe of a live peer",
    ),
    scenario("ipv6", Kind::Shared(families::ipv6), "an IPv6 connection"),
    scenario(
        "v4-mapped",
        Kind::Shared(families::v4_mapped),
        "IPv4 through an IPv6 socket",
    ),
    scenario(
        "multipath",
        Kind::Shared(families::multipath),
        "a subflow of an MPTCP connection dies: the connection's holder",
    )
    .needs(Feature::MPTCP),
    scenario(
        "other-netns",
        Kind::Shared(families::other_netns),
        "one 5-tuple in two network namespaces",
    ),
    scenario(
        "orphan-fin-wait2",
        Kind::Shared(quiet::orphan_fin_wait2),
        "an orphaned FIN_WAIT2 socket on the same timer gives no probe",
    ),
    scenario(
        "sysctl-settings",
        Kind::Shared(settings::sysctl_then_socket),
        "settings from sysctl, then per socket",
    ),
    scenario(
        "forked",
        Kind::Shared(holders::forked),
        "fork, then the parent closes: the child's",
    ),
    scenario(
        "passed-then-exit",
        Kind::Shared(holders::passed_by_one_that_exits),
        "SCM_RIGHTS, then the sender exits: the receiver's",
    ),
    scenario(
        "passed-then-close",
        Kind::Shared(holders::passed_by_one_that_closes),
        "SCM_RIGHTS, then the sender closes and lives on: the receiver's",
    ),
    scenario(
        "taken",
        Kind::Shared(holders::taken),
        "pidfd_getfd, then the first holder closes: the taker's",
    ),
    scenario(
        "exec",
        Kind::Shared(holders::executed),
        "exec after connect: the new name",
    ),
    scenario(
        "preforked",
        Kind::Shared(holders::preforked),
        "a preforking server: eight holders, and the last to read is using it",
    ),
    scenario(
        "pid-reused",
        Kind::Shared(holders::pid_reused),
        "a new process with the pid of the one that connected is not named",
    ),
    scenario(
        "pid-reused-after-close",
        Kind::Shared(holders::pid_reused_after_close),
        "the same when nobody holds the socket: the last holder's name",
    ),
    scenario(
        "own-namespaces",
        Kind::Shared(holders::apart),
        "a process in its own pid, mount and network namespaces: its pid on the host",
    ),
    scenario(
        "held-in-io-uring",
        Kind::Shared(holders::held_in_uring),
        "a fixed file of io_uring without a descriptor: still the process that connected",
    ),
    scenario(
        "noticed-in-the-call",
        Kind::Shared(noticed::in_the_call),
        "recv, read, splice and io_uring that wait for data",
    ),
    scenario(
        "noticed-after-poll",
        Kind::Shared(noticed::after_poll),
        "poll then recv, epoll then read, poll then SO_ERROR",
    ),
    scenario(
        "noticed-by-giving",
        Kind::Shared(noticed::by_giving),
        "send, write and sendfile on a dead connection",
    ),
    scenario(
        "noticed-by-connecting",
        Kind::Shared(noticed::by_connecting),
        "connects that time out: a blocking one, and one that asks for SO_ERROR",
    ),
    scenario(
        "noticed-late",
        Kind::Shared(noticed::late),
        "a recv two seconds after the death: delay_ms covers them",
    ),
    scenario(
        "unnoticed",
        Kind::Serial(noticed::unnoticed),
        "a process that never reads, and one that closes: the summary names them",
    ),
    scenario(
        "filters",
        Kind::Parallel(filters::each_splits_the_mix),
        "each filter splits a mix",
    ),
    scenario(
        "load",
        Kind::Load(load::counts_are_exact),
        "2,000 sockets probing each second: exact counts, nothing lost",
    ),
    scenario(
        "load-lost",
        Kind::Load(load::losses_are_counted),
        "the smallest ring and a stopped reader: events + lost, exactly",
    ),
    scenario(
        "sigterm-under-load",
        Kind::Load(load::sigterm),
        "summary, exit 0, no hook left behind",
    ),
    scenario(
        "thousand-processes",
        Kind::Many(many::all_attributed),
        "a thousand processes with a hundred sockets each, older than katrace: each one's own",
    ),
    scenario(
        "start-to-ready",
        Kind::Serial(process::start_and_stop),
        "starts and stops, again and again: ready each time, and no BPF program is left",
    ),
    scenario(
        "verbose",
        Kind::Serial(process::verbose),
        "with -v the verifier accepts the kernel half's log too",
    ),
    scenario(
        "closed-pipe",
        Kind::OncePerKernel(process::closed_pipe),
        "a reader that closes early: a quiet end with exit 0",
    ),
    scenario(
        "bad-input",
        Kind::OncePerKernel(bad_input::is_named),
        "what was typed wrong: exit 2 and one line that names it",
    ),
    scenario(
        "sockets-settings",
        Kind::OncePerKernel(sockets::settings),
        "settings from sysctl, per socket, mixed, per namespace, of a listener: as getsockopt has them",
    ),
    scenario(
        "sockets-dying",
        Kind::OncePerKernel(sockets::dying),
        "a dying socket is listed as such until it is gone",
    ),
    scenario(
        "sockets-watch",
        Kind::OncePerKernel(sockets::watch),
        "--watch lists again and again, and SIGINT ends it with exit 0",
    ),
    scenario(
        "sockets-agree",
        Kind::OncePerKernel(sockets_agree::readers_agree),
        "both readers list the same of 2,000 sockets while others come and go",
    ),
    scenario(
        "no-privilege",
        Kind::OncePerKernel(process::no_privilege),
        "without capabilities: exit 3, naming CAP_BPF",
    ),
    scenario(
        "no-btf",
        Kind::OncePerKernel(process::no_btf),
        "a kernel without BTF: exit 3, a line of cause and one of what to do",
    ),
    scenario(
        "audit-settings",
        Kind::OncePerKernel(audit::settings),
        "rules about settings: a finding on a socket with the fault, none on one without; exit codes",
    ),
    scenario(
        "audit-now",
        Kind::OncePerKernel(audit::now),
        "a dying and a suspended connection are found, and not once the peer is back",
    ),
    scenario(
        "audit-host",
        Kind::OncePerKernel(audit::host),
        "rules about listeners, noise and namespaces; the namespace's own connection tracking",
    ),
    scenario(
        "real-programs",
        Kind::Programs(real_programs::speak_for_themselves),
        "PostgreSQL, Redis, nginx, sshd, libpq: shown as configured, and as getsockopt says inside",
    ),
];

/// A scenario in one pair of namespaces. An error of `story` is reported with all events that were seen.
fn on(pair: Pair, story: impl FnOnce(&Scene) -> Result<()> + Send + 'static) -> Act {
    Box::new(move |tracer| {
        let scene = Scene::open(tracer, &pair)?;
        story(&scene)
            .and_then(|()| scene.truth())
            .map_err(|error| explain(&[&scene], error))
    })
}
