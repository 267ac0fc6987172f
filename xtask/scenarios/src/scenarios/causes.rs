//! Connections that end for another reason than unanswered probes, or after another limit.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::{
    Act,
    check::{self, Death},
    on,
};
use crate::{
    lab::{
        Actor, Pair, Sock, counters,
        pair::{self, OURS4, PEER4, SILENT4},
    },
    protocol::{Keepalive, Order},
};

const PORT: u16 = 7002;
const TO: SocketAddr = SocketAddr::new(PEER4, PORT);
/// Small enough that retransmission and window probes give up within seconds.
const RETRIES: u32 = 3;

pub fn user_timeout() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-user-timeo")?;
        let sock = actor.connect(TO, Some(Keepalive::new(2, 1, 9).user_timeout(3500)))?;
        scene.pair.vanish()?;
        let timeout = check::dies(scene, &sock, 6, &Death::of("user_timeout"))?;
        check::at_least(&timeout, "silence_ms", 3500)?;
        let events = scene.events(&sock);
        check::probes_sent(&events, true)?;
        let unanswered = check::number(&timeout, "unanswered")?;
        ensure!(
            (1..9).contains(&unanswered),
            "{unanswered} unanswered probes: the count decided after all"
        );
        check::ends_with_run(&events, unanswered)?;
        drop(listener);
        Ok(())
    }))
}

pub fn unacknowledged_data() -> Result<Act> {
    let pair = Pair::new()?;
    pair.ours.sysctl("ipv4/tcp_retries2", RETRIES)?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-writer")?;
        // The idle time is longer than a slow machine needs to write, so no probe comes first.
        let mut sock = actor.connect(TO, Some(Keepalive::new(60, 1, 3)))?;
        scene.pair.vanish()?;
        actor.done(&Order::Write {
            fd: sock.fd,
            bytes: 100,
        })?;
        actor.set(&mut sock, Keepalive::new(1, 1, 3))?;
        let timeout = check::dies(scene, &sock, 10, &Death::of("retransmit"))?;
        let retransmits = check::number(&timeout, "retransmits")?;
        ensure!(
            retransmits >= 1,
            "a retransmission timeout without a retransmission"
        );
        let events = scene.events(&sock);
        let stalled: Vec<_> = events
            .iter()
            .filter(|event| event["event"] == "stalled")
            .collect();
        ensure!(!stalled.is_empty(), "keepalive stalled and nothing said so");
        for event in stalled {
            check::field(event, "unacked_bytes", 100)?;
            check::number(event, "retransmits")?;
        }
        ensure!(
            !events.iter().any(|event| event["event"] == "probe"),
            "a stalled socket probed"
        );
        drop(listener);
        Ok(())
    }))
}

pub fn zero_window() -> Result<Act> {
    let pair = Pair::new()?;
    pair.ours.sysctl("ipv4/tcp_retries2", RETRIES)?;
    let listener = pair.listen_with(PORT, Some(4096))?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-filler")?;
        let sock = actor.connect(TO, None)?;
        let held = pair::accept(&listener)?;
        actor.done(&Order::Fill { fd: sock.fd })?;
        scene.pair.vanish()?;
        let timeout = check::dies(scene, &sock, 12, &Death::of("zero_window"))?;
        let unanswered = check::number(&timeout, "unanswered")?;
        ensure!(
            unanswered >= 1,
            "window probes gave up without one unanswered"
        );
        drop(held);
        Ok(())
    }))
}

pub fn connect_silent() -> Result<Act> {
    let pair = Pair::new()?;
    pair.ours.sysctl("ipv4/tcp_syn_retries", 1)?;
    Ok(on(pair, |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-connect")?;
        let (from, to) = (
            SocketAddr::from((OURS4, 40_007)),
            SocketAddr::from((SILENT4, PORT)),
        );
        let opened = actor.socket(Some(from), to, None)?;
        actor.tell(&Order::Connect { fd: opened.fd, to })?;
        let sock = Sock {
            pid: actor.pid(),
            comm: "kat-connect".to_owned(),
            fd: opened.fd,
            inode: opened.inode,
            local: opened.local.context("a bound socket without an address")?,
            remote: to,
            keepalive: None,
        };
        let death = Death {
            state: "SYN_SENT",
            ..Death::of("connect")
        };
        let timeout = check::dies(scene, &sock, 5, &death)?;
        let retransmitted = counters::named(&scene.pair.ours, "TcpExt", "TCPSynRetrans")?;
        check::field(&timeout, "retransmits", retransmitted)?;
        let errno = actor.errno()?;
        ensure!(
            errno == libc::ETIMEDOUT,
            "connect failed with errno {errno}"
        );
        Ok(())
    }))
}

pub fn no_route() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-no-route")?;
        let mut sock = actor.connect(TO, Some(Keepalive::new(60, 1, 3)))?;
        scene.pair.lose_route()?;
        actor.set(&mut sock, Keepalive::new(1, 1, 3))?;
        let timeout = check::dies(scene, &sock, 6, &Death::of("keepalive"))?;
        check::field(&timeout, "unanswered", 3)?;
        let events = scene.events(&sock);
        check::probes_sent(&events, false)?;
        check::ends_with_run(&events, 3)?;
        drop(listener);
        Ok(())
    }))
}
