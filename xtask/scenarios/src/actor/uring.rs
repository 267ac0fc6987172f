//! Sockets used and held through io_uring.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use io_uring::{IoUring, opcode, types};

/// Waits in the ring for something to receive; the errno, 0 for none.
pub fn recv(socket: &OwnedFd) -> Result<i32> {
    let mut ring = IoUring::new(1).context("set up io_uring")?;
    let mut room = [0; 64];
    let to = types::Fd(socket.as_raw_fd());
    let entry = opcode::Recv::new(to, room.as_mut_ptr(), room.len() as u32).build();
    // SAFETY: the room and the socket outlive the wait for the completion below.
    unsafe { ring.submission().push(&entry) }?;
    ring.submit_and_wait(1)?;
    let done = ring.completion().next().context("no completion")?;
    Ok(-done.result().min(0))
}

/// A ring whose only fixed file is this socket, of which no descriptor is left.
pub fn hold(socket: OwnedFd) -> Result<IoUring> {
    let ring = IoUring::new(1).context("set up io_uring")?;
    let fixed = [socket.as_raw_fd()];
    ring.submitter()
        .register_files(&fixed)
        .context("register a fixed file")?;
    Ok(ring)
}
