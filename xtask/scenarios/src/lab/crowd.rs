//! Two thousand sockets of one process whose peer is alive, for the scenarios under load.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::Result;

use super::{Actor, Control, Counters, Pair, pair::PEER4};
use crate::protocol::{Keepalive, Order};

pub const SOCKETS: usize = 2000;
const PORT: u16 = 7900;

/// Where the counts stand that katrace is held to.
#[derive(Clone, Copy)]
pub struct Counts {
    /// The kernel's own.
    probes: u64,
    expiries: Option<u64>,
}

impl Counts {
    pub fn since(self, base: Self) -> Probes {
        let counted = self.probes - base.probes;
        let expiries = self.expiries.zip(base.expiries);
        let visible = match expiries.map(|(now, then)| now - then) {
            Some(run) if run < counted => {
                println!(
                    "  the kernel ran no program for {} of {counted} probes",
                    counted - run
                );
                run
            }
            _ => counted,
        };
        Probes { counted, visible }
    }
}

/// Probes of the crowd over a while.
#[derive(Clone, Copy)]
pub struct Probes {
    /// By the kernel's own count.
    pub counted: u64,
    /// Those that a program could see: all, unless the kernel ran an empty one for fewer expiries.
    /// Each expiry of this crowd sends a probe.
    pub visible: u64,
}

/// Opened once for all scenarios of a backend: the connections outlive each tracer.
pub struct Crowd {
    pub pair: Pair,
    pub actor: Actor,
    control: Option<Arc<Control>>,
    _listener: TcpListener,
}

impl Crowd {
    /// # Errors
    ///
    /// No room for so many sockets.
    pub fn gather(control: Option<Arc<Control>>) -> Result<Self> {
        let pair = Pair::new()?;
        let listener = pair.listen(PORT)?;
        let mut actor = Actor::start(&pair.ours, "kat-crowd")?;
        let to = SocketAddr::from((PEER4, PORT));
        actor.done(&Order::Crowd { to, count: SOCKETS })?;
        Ok(Self {
            pair,
            actor,
            control,
            _listener: listener,
        })
    }

    pub fn counts(&self) -> Result<Counts> {
        Ok(Counts {
            probes: Counters::of(&self.pair.ours)?.keepalive,
            expiries: self.control.as_deref().map(Control::expiries).transpose()?,
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
