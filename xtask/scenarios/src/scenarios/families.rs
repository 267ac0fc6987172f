//! Address families, MPTCP, and one 5-tuple that exists twice.

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::{Result, ensure};

use super::{
    Act,
    check::{self, CONNECTED, Death},
    on,
};
use crate::{
    lab::{
        Actor, Pair, Scene, counters,
        pair::{OURS4, PEER4, PEER6},
        scene::explain,
    },
    protocol::{Keepalive, Order},
};

const PORT: u16 = 7004;
const FROM_PORT: u16 = 41_000;

pub fn ipv6() -> Result<Act> {
    dies_at(SocketAddr::from((PEER6, PORT)), "kat-v6")
}

pub fn v4_mapped() -> Result<Act> {
    let mapped = match PEER4 {
        std::net::IpAddr::V4(address) => address.to_ipv6_mapped(),
        std::net::IpAddr::V6(address) => address,
    };
    dies_at(SocketAddr::from((mapped, PORT)), "kat-mapped")
}

/// `check::common` asks for the family on the wire and for its notation of the addresses.
fn dies_at(to: SocketAddr, name: &'static str) -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, name)?;
        let sock = actor.connect(to, Some(Keepalive::new(1, 1, 2)))?;
        ensure!(sock.local.is_ipv6(), "the socket is not of AF_INET6");
        ensure!(
            sock.remote.ip() != Ipv6Addr::UNSPECIFIED,
            "the socket is not connected"
        );
        scene.pair.vanish()?;
        let timeout = check::dies(scene, &sock, 4, &Death::of("keepalive"))?;
        check::field(&timeout, "unanswered", 2)?;
        let events = scene.events(&sock);
        check::probes_sent(&events, true)?;
        check::ends_with_run(&events, 2)?;
        drop(listener);
        Ok(())
    }))
}

/// The socket that dies is a subflow, which no process has a descriptor of: its connection's holder is named. Data in
/// flight decides, since MPTCP hands SO_KEEPALIVE on to its subflows only since 5.14.
pub fn multipath() -> Result<Act> {
    let pair = Pair::new()?;
    pair.ours.sysctl("ipv4/tcp_retries2", 3)?;
    let listener = pair.listen_multipath(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-mptcp")?;
        let sock = actor.connect_multipath(SocketAddr::from((PEER4, PORT)))?;
        let agreed = counters::named(&scene.pair.ours, "MPTcpExt", "MPCapableSYNACKRX")?;
        ensure!(agreed == 1, "the connection fell back to TCP");
        scene.pair.vanish()?;
        actor.done(&Order::Write {
            fd: sock.fd,
            bytes: 100,
        })?;
        let timeout = check::dies(scene, &sock, 10, &Death::of("retransmit"))?;
        check::holders(&timeout, &sock, &[(sock.pid, sock.fd)])?;
        drop(listener);
        Ok(())
    }))
}

pub fn other_netns() -> Result<Act> {
    let (pair, second) = (Pair::new()?, Pair::new()?);
    let listeners = (pair.listen(PORT)?, second.listen(PORT)?);
    Ok(Box::new(move |tracer| {
        let dying = Scene::open(tracer, &pair)?;
        let living = Scene::open(tracer, &second)?;
        let told = told_apart(&dying, &living)
            .and_then(|()| dying.truth())
            .and_then(|()| living.truth())
            .map_err(|error| explain(&[&dying, &living], error));
        drop(listeners);
        told
    }))
}

fn told_apart(dying: &Scene, living: &Scene) -> Result<()> {
    let (from, to) = (
        SocketAddr::from((OURS4, FROM_PORT)),
        SocketAddr::from((PEER4, PORT)),
    );
    let settings = Some(Keepalive::new(1, 1, 2));
    let mut actors = (
        Actor::start(&dying.pair.ours, "kat-here")?,
        Actor::start(&living.pair.ours, "kat-there")?,
    );
    let here = actors.0.connect_from(Some(from), to, settings)?;
    let there = actors.1.connect_from(Some(from), to, settings)?;
    ensure!(
        (here.local, here.remote) == (there.local, there.remote),
        "two 5-tuples, not one"
    );
    dying.pair.vanish()?;
    check::dies(dying, &here, 4, &Death::of("keepalive"))?;
    living.wait_for(&there, "answered", 4, |_| true)?;
    // Once the socket is closed nobody holds it, but an `answered` may still be shown.
    let events = living.events(&there);
    drop(actors);
    ensure!(
        !events.iter().any(|event| event["event"] == "timeout"),
        "the living one timed out"
    );
    events
        .iter()
        .try_for_each(|event| check::common(living, event, &there, CONNECTED))
}
