//! The list of what katrace must show. One list for this host and for every guest.

mod bad_input;
mod causes;
mod check;
mod dead_peer;
mod families;
mod filters;
mod load;
mod peers;
mod process;
mod quiet;
mod settings;
mod sockets;

use anyhow::Result;

use crate::lab::{Katrace, Pair, Scene, Tracer, crowd::Crowd};

/// What a scenario left to do once katrace is ready.
pub type Act = Box<dyn FnOnce(&Tracer) -> Result<()> + Send>;

pub type Prepare = fn() -> Result<Act>;

/// How a scenario is run.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Prepared before katrace starts, then run beside the others under one tracer.
    Shared(Prepare),
    /// Beside the shared ones, with tracers of its own.
    Beside(fn(&Katrace) -> Result<()>),
    /// Alone and before all others, with tracers of its own.
    Alone(fn(&Katrace) -> Result<()>),
    /// Alone, with the crowd of sockets.
    Load(fn(&Katrace, &mut Crowd) -> Result<()>),
    /// Alone, once per kernel.
    Once(fn(&Katrace) -> Result<()>),
}

pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
}

const fn scenario(name: &'static str, kind: Kind, about: &'static str) -> Scenario {
    Scenario { name, about, kind }
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
        "filters",
        Kind::Beside(filters::each_splits_the_mix),
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
        "start-to-ready",
        Kind::Alone(process::start_to_ready),
        "the best of some starts, under 300 ms in a guest",
    ),
    scenario(
        "verbose",
        Kind::Alone(process::verbose),
        "with -v the verifier accepts the kernel half's log too",
    ),
    scenario(
        "closed-pipe",
        Kind::Once(process::closed_pipe),
        "a reader that closes early: a quiet end with exit 0",
    ),
    scenario(
        "bad-input",
        Kind::Once(bad_input::is_named),
        "what was typed wrong: exit 2 and one line that names it",
    ),
    scenario(
        "sockets-settings",
        Kind::Once(sockets::settings),
        "settings from sysctl, per socket, mixed, per namespace, of a listener: as getsockopt has them",
    ),
    scenario(
        "sockets-dying",
        Kind::Once(sockets::dying),
        "a dying socket is listed as such, and gone when the listing said it would be",
    ),
    scenario(
        "sockets-watch",
        Kind::Once(sockets::watch),
        "--watch lists again and again, and SIGINT ends it with exit 0",
    ),
    scenario(
        "sockets-agree",
        Kind::Once(sockets::readers_agree),
        "both readers list the same of 2,000 sockets while others come and go",
    ),
    scenario(
        "no-privilege",
        Kind::Once(process::no_privilege),
        "without capabilities: exit 3, naming CAP_BPF",
    ),
    scenario(
        "no-btf",
        Kind::Once(process::no_btf),
        "a kernel without BTF: exit 3, a line of cause and one of what to do",
    ),
];

/// A scenario in one pair. What `story` finds wrong is told with all that was seen.
fn on(pair: Pair, story: impl FnOnce(&Scene) -> Result<()> + Send + 'static) -> Act {
    Box::new(move |tracer| {
        let scene = Scene::open(tracer, &pair)?;
        story(&scene)
            .and_then(|()| scene.truth())
            .map_err(|error| scene.explain(error))
    })
}
