//! A thousand processes, each with sockets of its own.

use std::{
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    net::SocketAddr,
    process::exit,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::{
        prctl,
        signal::{SigSet, Signal, kill},
    },
    unistd::Pid,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::process;
use crate::protocol::Birth;

const ON: Signal = Signal::SIGUSR1;
const OFF: Signal = Signal::SIGUSR2;

/// The processes, and the pipe on which each says that it has done what it was told.
pub struct Many {
    pub pids: Vec<u32>,
    done: PipeReader,
}

impl Many {
    /// The first process connects to the port of `to`, the next to the one after it, and so on.
    pub fn open(to: SocketAddr, processes: u16, sockets: usize) -> Result<Self> {
        let (done, report) = pipe()?;
        let mut many = Self {
            pids: Vec::new(),
            done,
        };
        for number in 0..processes {
            let to = SocketAddr::new(to.ip(), to.port() + number);
            match process::fork(Birth::default())? {
                Some(pid) => many.pids.push(pid),
                None => {
                    if let Err(error) = live(number, to, sockets, report) {
                        eprintln!("process {number} of many: {error:#}");
                    }
                    exit(1);
                }
            }
        }
        drop(report);
        many.all_done()?;
        Ok(many)
    }

    pub fn set_keepalive(&mut self, on: bool) -> Result<()> {
        for pid in &self.pids {
            kill(Pid::from_raw(*pid as i32), if on { ON } else { OFF })?;
        }
        self.all_done()
    }

    fn all_done(&mut self) -> Result<()> {
        let mut reports = vec![0; self.pids.len()];
        let all = self.done.read_exact(&mut reports);
        all.context("a process of many has ended")
    }
}

/// What one of these processes does, until the actor that made it ends.
fn live(number: u16, to: SocketAddr, count: usize, mut report: PipeWriter) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    process::set_name(&format!("kat-many-{number}"))?;
    let orders = SigSet::from_iter([ON, OFF]);
    orders.thread_block()?;
    let sockets = (0..count)
        .map(|_| established(to))
        .collect::<Result<Vec<_>>>()?;
    loop {
        report.write_all(b".")?;
        let on = orders.wait()? == ON;
        for socket in &sockets {
            socket.set_keepalive(on)?;
        }
    }
}

/// Established without a handshake, as checkpoint/restore does it (`TCP_REPAIR`): the kernel's own
/// way to have a hundred thousand connections in seconds on an emulated processor, and none of them
/// sends a FIN when it is closed. Keepalive works on it as on any other.
fn established(to: SocketAddr) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    let on: libc::c_int = 1;
    let size = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the kernel reads `size` bytes, the size of `on`.
    let result = unsafe {
        use std::os::fd::AsRawFd;
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_REPAIR,
            (&raw const on).cast(),
            size,
        )
    };
    ensure!(result == 0, std::io::Error::last_os_error());
    socket.connect(&to.into())?;
    Ok(socket)
}
