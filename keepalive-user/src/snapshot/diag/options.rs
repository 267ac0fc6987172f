//! A socket's options, asked of the socket itself: on a copy of a holder's descriptor
//! (pidfd_getfd(2), since 5.6), which is closed at once.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::fstat,
    net::sockopt,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use crate::{
    cache::Cache,
    event::Holder,
    snapshot::{Namespace, raw_socket::OwnSettings},
};

/// Processes whose descriptors are kept open between sockets.
const KEPT: usize = 256;

/// Descriptors of processes.
pub struct Holders {
    /// By pid; `None` where the process may not be asked.
    pids: Cache<u32, Option<OwnedFd>>,
}

impl Default for Holders {
    fn default() -> Self {
        Self {
            pids: Cache::new(KEPT),
        }
    }
}

impl Holders {
    /// `SO_KEEPALIVE` and the settings of the socket, by the first holder who still has it. `None`
    /// when there is none, or none that may be asked.
    pub fn ask(
        &mut self,
        inode: u64,
        holders: &[Holder],
        netns: &Namespace,
    ) -> Option<(bool, OwnSettings)> {
        holders.iter().find_map(|holder| {
            let fd = i32::try_from(holder.fd?).ok()?;
            let process = self.process(holder.process.pid)?;
            let socket = pidfd_getfd(process, fd, PidfdGetfdFlags::empty()).ok()?;
            // The number may mean another file by now.
            (fstat(&socket).ok()?.st_ino == inode).then_some(())?;
            options(&socket, netns).ok()
        })
    }

    fn process(&mut self, pid: u32) -> Option<&OwnedFd> {
        if !self.pids.contains(&pid) {
            self.pids.insert(pid, open(pid));
        }
        self.pids.get(&pid)?.as_ref()
    }
}

fn open(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// `getsockopt` answers with what acts, so a value that equals the namespace's is taken for it.
fn options(socket: &impl AsFd, netns: &Namespace) -> rustix::io::Result<(bool, OwnSettings)> {
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let keepidle_ms = ms(sockopt::tcp_keepidle(socket)?);
    let keepintvl_ms = ms(sockopt::tcp_keepintvl(socket)?);
    let keepcnt = sockopt::tcp_keepcnt(socket)?;
    let own = OwnSettings {
        keepidle_ms: (keepidle_ms != netns.keepidle_ms).then_some(keepidle_ms),
        keepintvl_ms: (keepintvl_ms != netns.keepintvl_ms).then_some(keepintvl_ms),
        keepcnt: (keepcnt != netns.keepcnt).then_some(keepcnt),
        user_timeout_ms: sockopt::tcp_user_timeout(socket)?,
    };
    Ok((sockopt::socket_keepalive(socket)?, own))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd};

    use super::*;
    use crate::{event::Process, snapshot::raw_socket::tests::defaults};

    #[test]
    fn a_holder_is_asked_and_another_file_is_not_mistaken() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        sockopt::set_socket_keepalive(&socket, true).unwrap();
        sockopt::set_tcp_keepcnt(&socket, 4).unwrap();
        let holder = Holder {
            process: Process {
                pid: std::process::id(),
                comm: "test".into(),
                details: None,
            },
            fd: Some(socket.as_raw_fd() as u32),
        };
        let inode = fstat(&socket).unwrap().st_ino;
        let netns = defaults().namespace;
        let mut holders = Holders::default();
        let (keepalive, own) = holders
            .ask(inode, std::slice::from_ref(&holder), &netns)
            .unwrap();
        assert!(keepalive);
        assert_eq!((own.keepcnt, own.user_timeout_ms), (Some(4), 0));
        assert!(holders.ask(inode + 1, &[holder], &netns).is_none());
        assert!(holders.ask(inode, &[], &netns).is_none());
    }
}
