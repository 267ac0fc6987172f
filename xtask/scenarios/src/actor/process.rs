//! Forks and execs of this process, and sockets passed between processes.

use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io::{IoSlice, IoSliceMut},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::{
            net::{SocketAddr, UnixDatagram},
            process::CommandExt,
        },
    },
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    cmsg_space,
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::{
        prctl,
        socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
    },
    unistd::{dup2_stdin, dup2_stdout},
};

use crate::protocol::Birth;

/// Only a pid that another process has taken stays in use for so long.
const PID_FREE_WITHIN: Duration = Duration::from_secs(30);

pub fn set_name(name: &str) -> Result<()> {
    prctl::set_name(&CString::new(name)?).context("take the name")
}

/// The pid of the copy; `None` in the copy itself.
pub fn fork(birth: Birth) -> Result<Option<u32>> {
    let pids: Vec<libc::pid_t> = birth
        .pid
        .map(|pid| pid as libc::pid_t)
        .into_iter()
        .collect();
    // SAFETY: integers only, for which zero means unused.
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.exit_signal = libc::SIGCHLD as u64;
    if birth.apart {
        how.flags = (libc::CLONE_NEWPID | libc::CLONE_NEWNS) as u64;
    }
    if !pids.is_empty() {
        how.set_tid = pids.as_ptr() as u64;
        how.set_tid_size = pids.len() as u64;
    }
    let limit = Instant::now() + PID_FREE_WITHIN;
    loop {
        // SAFETY: an actor has one thread and asks for no memory to be shared, so this is a fork; the
        // kernel only reads `how` and the pids, both of which outlive the call.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const how, size_of_val(&how)) };
        match Errno::result(pid) {
            Ok(0) => return Ok(None),
            Ok(pid) => return Ok(Some(pid.try_into()?)),
            // A process that has left /proc still has its pid for a moment.
            Err(Errno::EEXIST) if Instant::now() < limit => sleep(Duration::from_millis(1)),
            Err(error) => return Err(error).context("clone3"),
        }
    }
}

/// What a new copy does first: it reads orders from one file and answers into another from now on.
pub fn begin(name: &str, orders: &Path, answers: &Path) -> Result<()> {
    dup2_stdin(File::open(orders).context("open the orders")?)?;
    let answers = OpenOptions::new().write(true).open(answers);
    dup2_stdout(answers.context("open the answers")?)?;
    set_name(name)
}

/// Returns only if it fails.
pub fn exec(name: &str, sockets: &[OwnedFd]) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["actor", name]);
    for socket in sockets {
        fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty()))?;
        command.args(["--adopt", &socket.as_raw_fd().to_string()]);
    }
    bail!(command.exec())
}

pub fn pass(socket: &OwnedFd, to: &str) -> Result<()> {
    let courier = UnixDatagram::unbound()?;
    courier
        .connect_addr(&SocketAddr::from_abstract_name(to)?)
        .with_context(|| format!("reach {to}"))?;
    let rights = [socket.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&rights)];
    let text = [IoSlice::new(b".")];
    sendmsg::<()>(
        courier.as_raw_fd(),
        &text,
        &message,
        MsgFlags::empty(),
        None,
    )?;
    Ok(())
}

/// A place for sockets to be sent to.
pub struct Inbox(UnixDatagram);

impl Inbox {
    pub fn open(at: &str) -> Result<Self> {
        let address = SocketAddr::from_abstract_name(at)?;
        Ok(Self(UnixDatagram::bind_addr(&address)?))
    }

    pub fn receive(self) -> Result<OwnedFd> {
        let mut text = [0];
        let mut into = [IoSliceMut::new(&mut text)];
        let mut space = cmsg_space!([i32; 1]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let got = recvmsg::<()>(self.0.as_raw_fd(), &mut into, Some(&mut space), flags)?;
        for message in got.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = message
                && let [fd] = fds[..]
            {
                return Ok(owned(fd));
            }
        }
        bail!("a message without a socket")
    }
}

pub fn take(pid: u32, fd: i32) -> Result<OwnedFd> {
    // SAFETY: two integers; the result is a new descriptor of ours or an error.
    let process = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let process = owned(Errno::result(process).context("pidfd_open")?.try_into()?);
    // SAFETY: three integers; the result is a new descriptor of ours or an error.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) };
    Ok(owned(
        Errno::result(copy).context("pidfd_getfd")?.try_into()?,
    ))
}

/// Takes charge of a descriptor that the kernel has just put into this process, or left to it
/// across an exec.
pub fn owned(fd: i32) -> OwnedFd {
    // SAFETY: nobody else in this process knows of it yet.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
