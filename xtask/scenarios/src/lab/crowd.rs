//! Two thousand sockets of one process whose peer is alive, for the scenarios under load.

use std::net::{SocketAddr, TcpListener};

use anyhow::Result;

use super::{Actor, Pair, pair::PEER4};
use crate::protocol::{Keepalive, Order};

pub const SOCKETS: usize = 2000;
const PORT: u16 = 7900;

/// Opened once for all scenarios of a backend: the connections outlive each tracer.
pub struct Crowd {
    pub pair: Pair,
    pub actor: Actor,
    _listener: TcpListener,
}

impl Crowd {
    /// # Errors
    ///
    /// No room for so many sockets.
    pub fn gather() -> Result<Self> {
        let pair = Pair::new()?;
        let listener = pair.listen(PORT)?;
        let mut actor = Actor::start(&pair.ours, "kat-crowd")?;
        let to = SocketAddr::from((PEER4, PORT));
        actor.done(&Order::Crowd { to, count: SOCKETS })?;
        Ok(Self {
            pair,
            actor,
            _listener: listener,
        })
    }

    /// From now on every socket probes each second.
    pub fn begin(&mut self) -> Result<()> {
        self.set(Some(Keepalive::new(1, 1, 9)))
    }

    pub fn end(&mut self) -> Result<()> {
        self.set(None)
    }

    fn set(&mut self, keepalive: Option<Keepalive>) -> Result<()> {
        self.actor.done(&Order::CrowdKeepalive {
            keepalive,
            over_ms: 0,
        })
    }
}
