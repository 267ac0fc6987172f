//! Where the effective settings come from.

use std::net::SocketAddr;

use anyhow::Result;

use super::{
    Act,
    check::{self, Death},
    on,
};
use crate::{
    lab::{Actor, Pair, pair::PEER4},
    protocol::Keepalive,
};

const PORT: u16 = 7006;
const TO: SocketAddr = SocketAddr::new(PEER4, PORT);

pub fn sysctl_then_socket() -> Result<Act> {
    let pair = Pair::new()?;
    for (name, value) in [("time", 1), ("intvl", 2), ("probes", 2)] {
        pair.ours
            .sysctl(&format!("ipv4/tcp_keepalive_{name}"), value)?;
    }
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-settings")?;
        let mut inherits = actor.connect(TO, Some(Keepalive::plain()))?;
        // What the namespace resolves to, spelled out for the comparison.
        inherits.keepalive = Some(Keepalive::new(1, 2, 2));
        let mut overrides = actor.connect(TO, Some(Keepalive::plain()))?;
        actor.set(&mut overrides, Keepalive::new(2, 1, 3))?;
        scene.pair.vanish()?;
        for (sock, probes) in [(&inherits, 2), (&overrides, 3)] {
            let timeout = check::dies(scene, sock, 6, &Death::of("keepalive"))?;
            check::field(&timeout, "unanswered", probes)?;
            let events = scene.events(sock);
            check::probes_sent(&events, true)?;
            check::ends_with_run(&events, probes)?;
        }
        drop(listener);
        Ok(())
    }))
}
