//! Sockets that probe at a rate: any number of them, spread over processes, the peers alive.

use std::{
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use super::progress;
use crate::{
    lab::{Actor, Pair, pair::PEER4},
    protocol::{Keepalive, Order},
};

const FIRST_PORT: u16 = 7000;
/// Sockets behind one listening port: below the length of its queue, where they all stay.
const PER_PORT: usize = 4000;
/// Probes before a connection is given up; not reached, because the peers answer.
const COUNT: u32 = 9;

pub struct Load {
    pub pair: Pair,
    actors: Vec<Actor>,
    _listeners: Vec<TcpListener>,
    pub sockets: usize,
}

impl Load {
    /// `sockets` in as few processes as there are ports.
    pub fn open(sockets: usize) -> Result<Self> {
        let (full, rest) = (sockets / PER_PORT, sockets % PER_PORT);
        let mut crowds = vec![PER_PORT; full];
        crowds.extend((rest > 0).then_some(rest));
        Self::of(&crowds)
    }

    /// One process for each of the crowds, with so many sockets.
    pub fn of(crowds: &[usize]) -> Result<Self> {
        let began = Instant::now();
        let sockets: usize = crowds.iter().sum();
        let pair = Pair::new()?;
        let ports =
            u16::try_from(sockets.div_ceil(PER_PORT)).context("more ports than there are")?;
        let listeners = (FIRST_PORT..FIRST_PORT + ports)
            .map(|port| pair.listen(port))
            .collect::<Result<Vec<_>>>()?;
        let mut load = Self {
            pair,
            actors: Vec::with_capacity(crowds.len()),
            _listeners: listeners,
            sockets,
        };
        let mut opened = 0;
        for (number, count) in crowds.iter().enumerate() {
            let mut actor = Actor::start(&load.pair.ours, &format!("kat-{number}"))?;
            let port = FIRST_PORT + (opened / PER_PORT) as u16;
            let to = SocketAddr::from((PEER4, port));
            actor.done(&Order::Crowd { to, count: *count })?;
            opened += count;
            load.actors.push(actor);
        }
        progress!(
            "{sockets} sockets of {} processes opened in {:.1} s",
            crowds.len(),
            began.elapsed().as_secs_f64()
        );
        Ok(load)
    }

    /// From now on every socket probes once in `seconds`, evenly spread; returns once all do.
    pub fn begin(&mut self, seconds: u32) -> Result<()> {
        let keepalive = Some(Keepalive::new(seconds, seconds, COUNT));
        self.set(keepalive, Duration::from_secs(seconds.into()))
    }

    /// Keepalive on, the times left to the namespace.
    pub fn begin_plain(&mut self) -> Result<()> {
        self.set(Some(Keepalive::plain()), Duration::ZERO)
    }

    pub fn end(&mut self) -> Result<()> {
        self.set(None, Duration::ZERO)
    }

    /// All processes at once, each taking this long over its sockets.
    fn set(&mut self, keepalive: Option<Keepalive>, over: Duration) -> Result<()> {
        let over_ms = over.as_millis() as u64;
        thread::scope(|scope| {
            let orders: Vec<_> = self
                .actors
                .iter_mut()
                .map(|actor| {
                    scope.spawn(move || actor.done(&Order::CrowdKeepalive { keepalive, over_ms }))
                })
                .collect();
            orders.into_iter().try_for_each(|order| {
                order
                    .join()
                    .map_err(|_| anyhow!("a thread that speaks to a process died"))?
            })
        })
    }
}
