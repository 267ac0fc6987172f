//! Thousands of connections in one process.

use std::{
    net::{SocketAddr, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, setrlimit};

use super::socket;
use crate::protocol::Keepalive;

/// A shorter sleep takes longer than asked for.
const LEAST_SLEEP: Duration = Duration::from_millis(2);

#[derive(Default)]
pub struct Crowd {
    streams: Vec<TcpStream>,
}

impl Crowd {
    pub fn open(to: SocketAddr, count: usize) -> Result<Self> {
        let limit = count as u64 + 64;
        setrlimit(Resource::RLIMIT_NOFILE, limit, limit).context("raise the descriptor limit")?;
        let patience = Duration::from_secs(20);
        let streams = (0..count)
            .map(|_| TcpStream::connect_timeout(&to, patience).context("open a crowd"))
            .collect::<Result<_>>()?;
        Ok(Self { streams })
    }

    /// Socket by socket, evenly spread over this time.
    pub fn set_keepalive(&self, wanted: Option<Keepalive>, over: Duration) -> Result<()> {
        let wanted = wanted.unwrap_or_default();
        let began = Instant::now();
        let each = over / u32::try_from(self.streams.len().max(1))?;
        for (stream, number) in self.streams.iter().zip(1u32..) {
            socket::set_keepalive(stream, wanted)?;
            let ahead = (each * number).saturating_sub(began.elapsed());
            if ahead > LEAST_SLEEP {
                sleep(ahead);
            }
        }
        Ok(())
    }
}
