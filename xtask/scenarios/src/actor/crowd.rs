//! Thousands of connections in one process.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, setrlimit};

use super::socket;
use crate::protocol::Keepalive;

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

    pub fn set_keepalive(&self, wanted: Option<Keepalive>) -> Result<()> {
        let wanted = wanted.unwrap_or_default();
        self.streams
            .iter()
            .try_for_each(|stream| socket::set_keepalive(stream, wanted))
    }
}
