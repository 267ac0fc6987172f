//! The calls through which a process hears that its connection is dead.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{SpliceFFlags, splice},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        sendfile::sendfile,
    },
    unistd::{pipe, read, write},
};
use socket2::SockRef;

use super::uring;
use crate::protocol::Wait;

/// Returns the errno with which the call ended; 0 for none.
pub fn sleep_in(socket: &OwnedFd, how: Wait) -> Result<i32> {
    match how {
        Wait::Recv | Wait::Read | Wait::Splice | Wait::UringRecv => {}
        Wait::Poll => polled(socket, PollFlags::POLLIN)?,
        Wait::Epoll => epolled(socket)?,
        // An error is reported unasked, and nothing else is.
        Wait::Send | Wait::Write | Wait::Sendfile | Wait::SoError | Wait::RecvAfter { .. } => {
            polled(socket, PollFlags::empty())?
        }
    }
    if let Wait::RecvAfter { ms } = how {
        sleep(Duration::from_millis(ms));
    }
    let errno = match how {
        Wait::Recv | Wait::Poll | Wait::RecvAfter { .. } => {
            of_io((&*SockRef::from(socket)).read(&mut [0; 64]))?
        }
        Wait::Read | Wait::Epoll => of(read(socket, &mut [0; 64])),
        Wait::Splice => {
            let (_kept, into) = pipe()?;
            of(splice(socket, None, &into, None, 64, SpliceFFlags::empty()))
        }
        Wait::UringRecv => uring::recv(socket)?,
        Wait::Send => of_io(SockRef::from(socket).send(b"."))?,
        Wait::Write => of(write(socket, b".")),
        Wait::Sendfile => {
            let file = File::open("/proc/self/exe").context("open a file to send")?;
            of(sendfile(socket, &file, None, 64))
        }
        Wait::SoError => match SockRef::from(socket).take_error()? {
            Some(error) => error.raw_os_error().context("SO_ERROR is no errno")?,
            None => 0,
        },
    };
    Ok(errno)
}

fn polled(socket: &OwnedFd, events: PollFlags) -> Result<()> {
    poll(
        &mut [PollFd::new(socket.as_fd(), events)],
        PollTimeout::NONE,
    )?;
    Ok(())
}

fn epolled(socket: &OwnedFd) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)?;
    Ok(())
}

fn of<T>(result: nix::Result<T>) -> i32 {
    result.err().map_or(0, |errno: Errno| errno as i32)
}

fn of_io<T>(result: std::io::Result<T>) -> Result<i32> {
    match result {
        Ok(_) => Ok(0),
        Err(error) => match error.raw_os_error() {
            Some(errno) => Ok(errno),
            None => bail!(error),
        },
    }
}
