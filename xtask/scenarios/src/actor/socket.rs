//! What an actor does to one socket.

use std::{
    io::{ErrorKind, Read},
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::stat::fstat;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::protocol::{Keepalive, Opened};

pub fn create(
    v6: bool,
    multipath: bool,
    from: Option<SocketAddr>,
    keepalive: Option<Keepalive>,
) -> Result<OwnedFd> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let protocol = if multipath {
        Protocol::MPTCP
    } else {
        Protocol::TCP
    };
    let socket = Socket::new(domain, Type::STREAM, Some(protocol))
        .with_context(|| format!("open a socket of {protocol:?}"))?;
    if let Some(from) = from {
        socket.set_reuse_address(true)?;
        socket
            .bind(&from.into())
            .with_context(|| format!("bind {from}"))?;
    }
    if let Some(keepalive) = keepalive {
        set_keepalive(&socket, keepalive)?;
    }
    Ok(socket.into())
}

/// `Some(errno)` when the connection fails.
pub fn connect(socket: &OwnedFd, to: SocketAddr) -> Result<Option<i32>> {
    match SockRef::from(socket).connect(&to.into()) {
        Ok(()) => Ok(None),
        Err(error) => Ok(Some(
            error
                .raw_os_error()
                .context("connect failed without an errno")?,
        )),
    }
}

/// Returns while the connection is still to come about.
pub fn begin_connect(socket: &OwnedFd, to: SocketAddr) -> Result<()> {
    SockRef::from(socket).set_nonblocking(true)?;
    match connect(socket, to)? {
        Some(libc::EINPROGRESS) => Ok(()),
        other => bail!("connect to {to} ended at once: {other:?}"),
    }
}

pub fn listen(at: SocketAddr) -> Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket
        .bind(&at.into())
        .with_context(|| format!("bind {at}"))?;
    socket.listen(64)?;
    Ok(socket.into())
}

pub fn accept(listener: &OwnedFd, keepalive: Option<Keepalive>) -> Result<OwnedFd> {
    let (socket, _) = SockRef::from(listener).accept()?;
    if let Some(keepalive) = keepalive {
        set_keepalive(&socket, keepalive)?;
    }
    Ok(socket.into())
}

pub fn set_keepalive(socket: &impl AsFd, wanted: Keepalive) -> Result<()> {
    let socket = SockRef::from(socket);
    let mut times = TcpKeepalive::new();
    if let Some(seconds) = wanted.idle_s {
        times = times.with_time(Duration::from_secs(seconds.into()));
    }
    if let Some(seconds) = wanted.intvl_s {
        times = times.with_interval(Duration::from_secs(seconds.into()));
    }
    if let Some(count) = wanted.cnt {
        times = times.with_retries(count);
    }
    if let Some(ms) = wanted.user_timeout_ms {
        socket.set_tcp_user_timeout(Some(Duration::from_millis(ms.into())))?;
    }
    if wanted.on {
        // Switches SO_KEEPALIVE on as well; setting the idle time restarts the timer.
        socket.set_tcp_keepalive(&times)?;
    } else {
        socket.set_keepalive(false)?;
    }
    Ok(())
}

pub fn options(socket: &OwnedFd) -> Result<Keepalive> {
    let of = SockRef::from(socket);
    let timeout = of.tcp_user_timeout()?.unwrap_or_default();
    Ok(Keepalive {
        on: of.keepalive()?,
        idle_s: Some(of.tcp_keepalive_time()?.as_secs().try_into()?),
        intvl_s: Some(of.tcp_keepalive_interval()?.as_secs().try_into()?),
        cnt: Some(of.tcp_keepalive_retries()?),
        user_timeout_ms: Some(timeout.as_millis().try_into()?),
    })
}

pub fn describe(socket: &OwnedFd) -> Result<Opened> {
    let of = SockRef::from(socket);
    Ok(Opened {
        fd: socket.as_raw_fd(),
        inode: fstat(socket)?.st_ino,
        local: of.local_addr()?.as_socket(),
        remote: of.peer_addr().ok().and_then(|address| address.as_socket()),
    })
}

pub fn write(socket: &OwnedFd, bytes: usize) -> Result<()> {
    let sent = SockRef::from(socket).send(&vec![0; bytes])?;
    if sent != bytes {
        bail!("{sent} of {bytes} bytes were taken");
    }
    Ok(())
}

pub fn read(socket: &OwnedFd) -> Result<()> {
    (&*SockRef::from(socket)).read_exact(&mut [0])?;
    Ok(())
}

pub fn fill(socket: &OwnedFd) -> Result<()> {
    let of = SockRef::from(socket);
    of.set_nonblocking(true)?;
    let limit = Instant::now() + Duration::from_secs(25);
    let block = vec![0; 16 * 1024];
    loop {
        match of.send(&block) {
            Ok(_) => continue,
            Err(error) if error.kind() != ErrorKind::WouldBlock => bail!(error),
            Err(_) => {}
        }
        if window_is_shut(&tcp_info(socket.as_fd())?) {
            return Ok(());
        }
        if Instant::now() > limit {
            bail!("the peer's window never shut");
        }
        sleep(Duration::from_millis(20));
    }
}

/// Two window probes answered: what little room there was has been used up by the first.
fn window_is_shut(info: &libc::tcp_info) -> bool {
    info.tcpi_unacked == 0 && info.tcpi_backoff >= 2
}

fn tcp_info(socket: BorrowedFd) -> Result<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of `info`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut length,
        )
    };
    if result != 0 {
        bail!(std::io::Error::last_os_error());
    }
    // SAFETY: integers only, all of them zeroed before the kernel wrote its part.
    Ok(unsafe { info.assume_init() })
}
