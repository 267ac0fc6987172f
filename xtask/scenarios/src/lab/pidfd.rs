//! Options of another process's socket, read through a copy of its descriptor.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::SockRef;

/// The five values, as `getsockopt` tells them to the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub keepalive: bool,
    pub idle_s: u64,
    pub intvl_s: u64,
    pub cnt: u32,
    pub user_timeout_ms: u64,
}

impl Options {
    /// Reads the options of the socket behind descriptor `fd` of process `pid`.
    pub fn inside(pid: u32, fd: i32) -> Result<Self> {
        let copy = copy(pid, fd).with_context(|| format!("copy descriptor {fd} of {pid}"))?;
        let socket = SockRef::from(&copy);
        Ok(Self {
            keepalive: socket.keepalive()?,
            idle_s: socket.tcp_keepalive_time()?.as_secs(),
            intvl_s: socket.tcp_keepalive_interval()?.as_secs(),
            cnt: socket.tcp_keepalive_retries()?,
            user_timeout_ms: socket
                .tcp_user_timeout()?
                .map_or(0, |timeout| timeout.as_millis() as u64),
        })
    }
}

fn copy(pid: u32, fd: i32) -> Result<OwnedFd> {
    let pid = Pid::from_raw(pid.try_into()?).context("no process has pid 0")?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    Ok(pidfd_getfd(&process, fd, PidfdGetfdFlags::empty())?)
}
