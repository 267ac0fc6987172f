//! A thousand processes with a hundred sockets each, which probe once when they are told to.

use std::net::SocketAddr;

use anyhow::{Result, bail};

use super::{Actor, Pair, link, pair::SILENT4};
use crate::protocol::{Answer, Order};

pub const PROCESSES: u16 = 1000;
pub const SOCKETS: usize = 100;
/// Where the sockets of the first process are connected to.
pub const PORT: u16 = 10_000;

/// Made once for all backends of a kernel: the connections outlive each tracer.
pub struct Many {
    pub pair: Pair,
    actor: Actor,
    /// By the port that each process is connected to, from [`PORT`] on.
    pub pids: Vec<u32>,
}

impl Many {
    pub fn gather() -> Result<Self> {
        let pair = Pair::new()?;
        pair.ours.sysctl("ipv4/tcp_keepalive_time", 1)?;
        // One probe, and no other while anybody looks.
        pair.ours.sysctl("ipv4/tcp_keepalive_intvl", 7200)?;
        let mut actor = Actor::start(&pair.ours, "kat-many")?;
        let order = Order::Many {
            to: SocketAddr::from((SILENT4, PORT)),
            processes: PROCESSES,
            sockets: SOCKETS,
        };
        let pids = match actor.ask(&order)? {
            Answer::Many { pids } => pids,
            other => bail!("many processes began with {other:?}"),
        };
        // A probe that has no way out costs the least.
        link::add_route(&pair.ours, SILENT4, link::Fate::Unreachable)?;
        Ok(Self { pair, actor, pids })
    }

    /// A probe of every socket, one second after it is asked for.
    pub fn begin(&mut self) -> Result<()> {
        self.actor.done(&Order::ManyKeepalive { on: true })
    }

    pub fn end(&mut self) -> Result<()> {
        self.actor.done(&Order::ManyKeepalive { on: false })
    }
}
