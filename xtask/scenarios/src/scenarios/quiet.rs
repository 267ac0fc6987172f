//! Expiries of the keepalive timer that are not about keepalive.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{Act, on};
use crate::{
    lab::{
        Actor, Pair,
        pair::{self, PEER4},
    },
    protocol::{Keepalive, Order},
};

const PORT: u16 = 7005;
const TO: SocketAddr = SocketAddr::new(PEER4, PORT);
/// Beyond the 60 s of TIME_WAIT by this much: so long the keepalive timer holds an orphan in
/// FIN_WAIT2.
const ON_THE_TIMER_S: u64 = 2;

pub fn orphan_fin_wait2() -> Result<Act> {
    let pair = Pair::new()?;
    pair.ours
        .sysctl("ipv4/tcp_fin_timeout", 60 + ON_THE_TIMER_S)?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-orphan")?;
        let mut held = Vec::new();
        // With SO_KEEPALIVE and without: neither may probe once orphaned.
        for settings in [Some(Keepalive::new(60, 1, 9)), None] {
            let sock = actor.connect(TO, settings)?;
            held.push(pair::accept(&listener)?);
            actor.done(&Order::Close { fd: sock.fd })?;
        }
        let orphans = fin_wait2(scene.pair)?;
        ensure!(orphans == 2, "{orphans} sockets in FIN_WAIT2, 2 were due");
        std::thread::sleep(Duration::from_secs(ON_THE_TIMER_S + 2));
        let events = scene.events_in(&scene.pair.ours);
        ensure!(events.is_empty(), "events of orphans: {events:?}");
        drop(held);
        Ok(())
    }))
}

/// Sockets in FIN_WAIT2 of our namespace, as /proc/net/tcp lists them.
fn fin_wait2(pair: &Pair) -> Result<usize> {
    const FIN_WAIT2: &str = "05";
    let limit = crate::lab::time::deadline(1);
    let mut found = 0;
    crate::lab::time::wait_until(limit, || {
        let table = pair.ours.within(|| {
            std::fs::read_to_string("/proc/thread-self/net/tcp").context("read net/tcp")
        });
        let table = table.unwrap_or_default();
        let states = table
            .lines()
            .filter_map(|line| line.split_whitespace().nth(3));
        found = states.filter(|state| *state == FIN_WAIT2).count();
        found >= 2
    });
    Ok(found)
}
