//! Peers that answer: with an ACK at once, with an ACK after lost probes, or with a RST.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use socket2::SockRef;

use super::{
    Act,
    check::{self, CONNECTED},
    on,
};
use crate::{
    lab::{
        Actor, Pair,
        pair::{self, PEER4},
        scene::event_time,
    },
    protocol::Keepalive,
};

const PORT: u16 = 7003;
const TO: SocketAddr = SocketAddr::new(PEER4, PORT);

pub fn reset_on_probe() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-reset")?;
        let unprobed = actor.connect(TO, Some(Keepalive::new(600, 1, 9)))?;
        let peer_of_unprobed = pair::accept(&listener)?;
        let probed = actor.connect(TO, Some(Keepalive::new(1, 1, 60)))?;
        let peer_of_probed = pair::accept(&listener)?;
        scene.pair.vanish()?;
        // The RST of this abort stays behind the blackhole: the peer has merely forgotten.
        abort(peer_of_probed)?;
        scene.wait_for(&probed, "probe", 3, at_second_probe)?;
        scene.pair.come_back()?;
        let on_probe = scene.wait_for(&probed, "reset", 3, |_| true)?;
        check::common(scene, &on_probe, &probed, CONNECTED)?;
        check::field(&on_probe, "errno", "ECONNRESET")?;
        check::field(&on_probe, "after_probe", true)?;
        // Without a probe before it, a RST is just as much a reset.
        abort(peer_of_unprobed)?;
        let unasked = scene.wait_for(&unprobed, "reset", 2, |_| true)?;
        check::common(scene, &unasked, &unprobed, CONNECTED)?;
        check::field(&unasked, "errno", "ECONNRESET")?;
        check::field(&unasked, "after_probe", false)
    }))
}

/// The second probe, or a later one where the host hid the second.
fn at_second_probe(event: &Value) -> bool {
    event["probe"].as_u64() >= Some(2)
}

/// Closes with a RST instead of a FIN.
fn abort(stream: std::net::TcpStream) -> Result<()> {
    SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO))?;
    drop(stream);
    Ok(())
}

pub fn comes_back() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-patient")?;
        let sock = actor.connect(TO, Some(Keepalive::new(2, 1, 60)))?;
        scene.pair.vanish()?;
        scene.wait_for(&sock, "probe", 4, at_second_probe)?;
        scene.pair.come_back()?;
        let answered = scene.wait_for(&sock, "answered", 6, |event| event["unanswered"] != 1)?;
        check::common(scene, &answered, &sock, CONNECTED)?;
        let unanswered = check::number(&answered, "unanswered")?;
        ensure!(
            unanswered >= 2,
            "{unanswered} probes had gone unanswered, 2 were lost at least"
        );
        let events = scene.events(&sock);
        check::probes_sent(&events, true)?;
        check::last_run(&events)?;
        drop(actor);
        drop(listener);
        Ok(())
    }))
}

pub fn alive() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-alive")?;
        let sock = actor.connect(TO, Some(Keepalive::new(1, 1, 9)))?;
        scene.wait_for(&sock, "answered", 5, |_| true)?;
        // Three probes, so that an answer is seen to close each run.
        let limit = crate::lab::time::deadline(5);
        let enough = crate::lab::time::wait_until(limit, || {
            let events = scene.events(&sock);
            events
                .iter()
                .filter(|event| event["event"] == "answered")
                .count()
                >= 3
        });
        ensure!(enough, "fewer than three answers of a live peer");
        drop(actor);
        let events = scene.events(&sock);
        check::probes_sent(&events, true)?;
        check::last_run(&events)?;
        let mut probed = None;
        for event in &events {
            check::common(scene, event, &sock, CONNECTED)?;
            if event["event"] == "probe" {
                probed = Some(event_time(event)?);
            }
            if event["event"] == "answered" {
                check::field(event, "unanswered", 1)?;
                let rtt = event["rtt_ms"]
                    .as_f64()
                    .context("`rtt_ms` is not a number")?;
                // The answer came before the expiry that told of it.
                let since = event_time(event)?.duration_since(probed.context("no probe yet")?);
                let most = since.as_millis_f64();
                ensure!(
                    rtt > 0.0 && rtt <= most,
                    "a round trip of {rtt} ms, told {most} ms after the probe"
                );
            }
        }
        drop(listener);
        Ok(())
    }))
}
