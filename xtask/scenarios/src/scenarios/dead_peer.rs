//! The main case: the peer is gone, the probes stay unanswered, and the connection times out.

use std::{io::Write, net::SocketAddr};

use anyhow::{Context, Result, ensure};

use super::{
    Act,
    check::{self, ACCEPTED, Death, Evidence, SCANNED},
    on,
};
use crate::{
    lab::{
        Actor, Pair, Scene, Sock,
        pair::{self, OURS4, PEER4},
    },
    protocol::{Keepalive, Order, Wait},
};

const PORT: u16 = 7001;
const TO: SocketAddr = SocketAddr::new(PEER4, PORT);

pub fn connected_since() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut clients = Clients::connect(scene.pair)?;
        clients.sleep()?;
        scene.pair.vanish()?;
        clients.die(scene, check::CONNECTED)?;
        drop(listener);
        Ok(())
    }))
}

pub fn opened_before() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    let mut clients = Clients::connect(&pair)?;
    let mut peers = clients
        .of
        .iter()
        .map(|_| pair::accept(&listener))
        .collect::<Result<Vec<_>>>()?;
    Ok(Box::new(move |tracer| {
        // The peer was heard just now, so no socket probes while the scene reads its first counts.
        peers.iter_mut().try_for_each(|peer| peer.write_all(b"."))?;
        clients.read()?;
        let story = on(pair, move |scene| {
            clients.sleep()?;
            scene.pair.vanish()?;
            clients.die(scene, SCANNED)
        });
        story(tracer)
    }))
}

pub fn accepted() -> Result<Act> {
    let pair = Pair::new()?;
    Ok(on(pair, |scene| {
        let mut server = Actor::start(&scene.pair.ours, "kat-server")?;
        let at = SocketAddr::from((OURS4, PORT));
        let listening = server.listen(at)?;
        let client = scene.pair.dial(at)?;
        let sock = server.accept(listening, Some(Keepalive::new(2, 1, 3)))?;
        ensure!(
            sock.remote == client.local_addr()?,
            "the accepted socket is another one"
        );
        scene.pair.vanish()?;
        three_probes_and_a_timeout(scene, &sock, ACCEPTED)
    }))
}

/// One process for each way to wait.
struct Clients {
    of: Vec<(Actor, Sock, Option<Wait>)>,
}

impl Clients {
    fn connect(pair: &Pair) -> Result<Self> {
        let ways = [
            ("kat-recv", Some(Wait::Recv)),
            ("kat-poll", Some(Wait::Poll)),
            ("kat-away", None),
        ];
        let of = ways
            .into_iter()
            .map(|(name, how)| {
                let mut actor = Actor::start(&pair.ours, name)?;
                let sock = actor.connect(TO, Some(Keepalive::new(2, 1, 3)))?;
                Ok((actor, sock, how))
            })
            .collect::<Result<_>>()?;
        Ok(Self { of })
    }

    /// One byte each.
    fn read(&mut self) -> Result<()> {
        self.of
            .iter_mut()
            .try_for_each(|(actor, sock, _)| actor.done(&Order::Read { fd: sock.fd }))
    }

    fn sleep(&mut self) -> Result<()> {
        for (actor, sock, how) in &mut self.of {
            if let Some(how) = how {
                actor.sleep_in(sock.fd, *how)?;
            }
        }
        Ok(())
    }

    fn die(&mut self, scene: &Scene, evidence: Evidence) -> Result<()> {
        for (actor, sock, how) in &mut self.of {
            three_probes_and_a_timeout(scene, sock, evidence)
                .with_context(|| format!("socket of {}", sock.comm))?;
            if how.is_some() {
                let errno = actor.woken()?;
                ensure!(
                    errno == libc::ETIMEDOUT,
                    "{} woke with errno {errno}",
                    sock.comm
                );
            }
        }
        Ok(())
    }
}

fn three_probes_and_a_timeout(scene: &Scene, sock: &Sock, evidence: Evidence) -> Result<()> {
    let timeout = check::dies(
        scene,
        sock,
        6,
        &Death {
            evidence,
            ..Death::of("keepalive")
        },
    )?;
    check::field(&timeout, "unanswered", 3)?;
    // idle + cnt × intvl
    check::at_least(&timeout, "silence_ms", 5000)?;
    let events = scene.events(sock);
    check::probes_sent(&events, true)?;
    check::ends_with_run(&events, 3)
}
