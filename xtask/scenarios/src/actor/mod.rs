//! The process that owns sockets. It reads orders from stdin and carries them out, one at a time.

mod crowd;
mod many;
mod process;
mod socket;
mod uring;
mod wait;

use std::{
    io::{self, BufRead, Write},
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use crowd::Crowd;
use io_uring::IoUring;
use many::Many;
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::protocol::{Answer, Birth, Order, Wait};

/// `adopted` are sockets that it held before an exec; with any, it first answers that the exec is done.
pub fn run(name: &str, adopted: &[i32]) -> Result<()> {
    process::set_name(name)?;
    // SAFETY: no handler is installed; the kernel is told to clear up after this one's children.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    let mut sockets = Sockets::default();
    if !adopted.is_empty() {
        sockets.open = adopted.iter().map(|fd| process::owned(*fd)).collect();
        say(&Answer::Done)?;
    }
    for line in io::stdin().lock().lines() {
        let order = serde_json::from_str(&line?)?;
        let answer = sockets
            .carry_out(order)
            .unwrap_or_else(|error| Answer::Failed {
                why: format!("{error:#}"),
            });
        say(&answer)?;
    }
    Ok(())
}

fn say(answer: &Answer) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

fn done(result: Result<()>) -> Result<Answer> {
    result.map(|()| Answer::Done)
}

/// Both processes return from here, and each goes on reading its own orders.
fn fork(name: &str, birth: Birth, orders: &Path, answers: &Path) -> Result<Answer> {
    match process::fork(birth)? {
        Some(pid) => Ok(Answer::Forked { pid }),
        None => {
            // A child that cannot answer must not go on with its parent's orders.
            if let Err(error) = process::begin(name, orders, answers) {
                eprintln!("{name}: {error:#}");
                std::process::exit(1);
            }
            Ok(Answer::Done)
        }
    }
}

#[derive(Default)]
struct Sockets {
    open: Vec<OwnedFd>,
    crowd: Crowd,
    many: Option<Many>,
    /// Each holds a socket; they only have to stay.
    rings: Vec<IoUring>,
}

impl Sockets {
    fn carry_out(&mut self, order: Order) -> Result<Answer> {
        match order {
            Order::Socket {
                v6,
                multipath,
                from,
                keepalive,
            } => self.keep(socket::create(v6, multipath, from, keepalive)?),
            Order::Connect { fd, to } => self.connect(fd, to),
            Order::Listen { at } => self.keep(socket::listen(at)?),
            Order::Accept { fd, keepalive } => {
                let accepted = socket::accept(self.find(fd)?, keepalive)?;
                self.keep(accepted)
            }
            Order::Set { fd, keepalive } => done(socket::set_keepalive(self.find(fd)?, keepalive)),
            Order::Options { fd } => Ok(Answer::Options(socket::options(self.find(fd)?)?)),
            Order::Write { fd, bytes } => done(socket::write(self.find(fd)?, bytes)),
            Order::Read { fd } => done(socket::read(self.find(fd)?)),
            Order::Fill { fd } => done(socket::fill(self.find(fd)?)),
            Order::Sleep { fd, how } => self.sleep(fd, how),
            Order::Close { fd } => done(self.take(fd).map(drop)),
            Order::BeginConnect { fd, to } => done(socket::begin_connect(self.find(fd)?, to)),
            Order::Fork {
                name,
                birth,
                orders,
                answers,
            } => fork(&name, birth, &orders, &answers),
            Order::Exec { name } => done(process::exec(&name, &self.open)),
            Order::Pass { fd, to } => done(process::pass(self.find(fd)?, &to)),
            Order::Receive { at } => {
                let inbox = process::Inbox::open(&at)?;
                say(&Answer::Done)?;
                self.keep(inbox.receive()?)
            }
            Order::HoldInUring { fd } => {
                let socket = self.take(fd)?;
                done(uring::hold(socket).map(|ring| self.rings.push(ring)))
            }
            Order::Take { pid, fd } => self.keep(process::take(pid, fd)?),
            Order::Crowd { to, count } => done(Crowd::open(to, count).map(|it| self.crowd = it)),
            Order::CrowdKeepalive { keepalive, over_ms } => {
                let over = Duration::from_millis(over_ms);
                done(self.crowd.set_keepalive(keepalive, over))
            }
            Order::Many {
                to,
                processes,
                sockets,
            } => {
                let many = self.many.insert(Many::open(to, processes, sockets)?);
                let pids = many.pids.clone();
                Ok(Answer::Many { pids })
            }
            Order::ManyKeepalive { on } => {
                let many = self.many.as_mut().context("there are not many yet")?;
                done(many.set_keepalive(on))
            }
        }
    }

    fn connect(&self, fd: i32, to: SocketAddr) -> Result<Answer> {
        let socket = self.find(fd)?;
        Ok(match socket::connect(socket, to)? {
            Some(errno) => Answer::Errno { errno },
            None => Answer::Socket(socket::describe(socket)?),
        })
    }

    /// Answers twice: before the sleep and after it.
    fn sleep(&self, fd: i32, how: Wait) -> Result<Answer> {
        let socket = self.find(fd)?;
        say(&Answer::Done)?;
        let errno = wait::sleep_in(socket, how)?;
        Ok(Answer::Woken { errno })
    }

    fn keep(&mut self, socket: OwnedFd) -> Result<Answer> {
        let opened = socket::describe(&socket)?;
        self.open.push(socket);
        Ok(Answer::Socket(opened))
    }

    fn find(&self, fd: i32) -> Result<&OwnedFd> {
        Ok(&self.open[self.position(fd)?])
    }

    /// It is closed with the returned value.
    fn take(&mut self, fd: i32) -> Result<OwnedFd> {
        let at = self.position(fd)?;
        Ok(self.open.swap_remove(at))
    }

    fn position(&self, fd: i32) -> Result<usize> {
        let Some(at) = self.open.iter().position(|open| open.as_raw_fd() == fd) else {
            bail!("descriptor {fd} is not open here");
        };
        Ok(at)
    }
}
