//! The process that owns sockets: carries out orders from stdin, one at a time.

mod crowd;
mod many;
mod process;
mod socket;
mod uring;
mod wait;

use std::{
    io::{self, BufRead, Write},
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use crowd::Crowd;
use io_uring::IoUring;
use many::Many;
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::protocol::{Answer, Order};

/// With sockets left over from before an exec, it says so once it is there.
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
        Ok(match order {
            Order::Socket {
                v6,
                multipath,
                from,
                keepalive,
            } => self.keep(socket::create(v6, multipath, from, keepalive)?)?,
            Order::Connect { fd, to } => match socket::connect(self.find(fd)?, to)? {
                Some(errno) => Answer::Errno { errno },
                None => Answer::Socket(socket::describe(self.find(fd)?)?),
            },
            Order::Listen { at } => self.keep(socket::listen(at)?)?,
            Order::Accept { fd, keepalive } => {
                let accepted = socket::accept(self.find(fd)?, keepalive)?;
                self.keep(accepted)?
            }
            Order::Set { fd, keepalive } => {
                socket::set_keepalive(self.find(fd)?, keepalive)?;
                Answer::Done
            }
            Order::Options { fd } => Answer::Options(socket::options(self.find(fd)?)?),
            Order::Write { fd, bytes } => {
                socket::write(self.find(fd)?, bytes)?;
                Answer::Done
            }
            Order::Read { fd } => {
                socket::read(self.find(fd)?)?;
                Answer::Done
            }
            Order::Fill { fd } => {
                socket::fill(self.find(fd)?)?;
                Answer::Done
            }
            Order::Sleep { fd, how } => {
                say(&Answer::Done)?;
                Answer::Woken {
                    errno: wait::sleep_in(self.find(fd)?, how)?,
                }
            }
            Order::Close { fd } => {
                let at = self.position(fd)?;
                self.open.swap_remove(at);
                Answer::Done
            }
            Order::BeginConnect { fd, to } => {
                socket::begin_connect(self.find(fd)?, to)?;
                Answer::Done
            }
            Order::Fork {
                name,
                birth,
                orders,
                answers,
            } => match process::fork(birth)? {
                Some(pid) => Answer::Forked { pid },
                None => {
                    // The loop that reads orders goes on in both, unless this one has no way to speak.
                    if let Err(error) = process::begin(&name, &orders, &answers) {
                        eprintln!("{name}: {error:#}");
                        std::process::exit(1);
                    }
                    Answer::Done
                }
            },
            Order::Exec { name } => {
                process::exec(&name, &self.open)?;
                Answer::Done
            }
            Order::Pass { fd, to } => {
                process::pass(self.find(fd)?, &to)?;
                Answer::Done
            }
            Order::Receive { at } => {
                let inbox = process::Inbox::open(&at)?;
                say(&Answer::Done)?;
                self.keep(inbox.receive()?)?
            }
            Order::HoldInUring { fd } => {
                let at = self.position(fd)?;
                self.rings.push(uring::hold(self.open.swap_remove(at))?);
                Answer::Done
            }
            Order::Take { pid, fd } => self.keep(process::take(pid, fd)?)?,
            Order::Crowd { to, count } => {
                self.crowd = Crowd::open(to, count)?;
                Answer::Done
            }
            Order::Many {
                to,
                processes,
                sockets,
            } => {
                let many = self.many.insert(Many::open(to, processes, sockets)?);
                Answer::Many {
                    pids: many.pids.clone(),
                }
            }
            Order::ManyKeepalive { on } => {
                let many = self.many.as_mut().context("there are not many yet")?;
                many.set_keepalive(on)?;
                Answer::Done
            }
            Order::CrowdKeepalive { keepalive, over_ms } => {
                let over = Duration::from_millis(over_ms);
                self.crowd.set_keepalive(keepalive, over)?;
                Answer::Done
            }
        })
    }

    fn keep(&mut self, socket: OwnedFd) -> Result<Answer> {
        let opened = socket::describe(&socket)?;
        self.open.push(socket);
        Ok(Answer::Socket(opened))
    }

    fn find(&self, fd: i32) -> Result<&OwnedFd> {
        Ok(&self.open[self.position(fd)?])
    }

    fn position(&self, fd: i32) -> Result<usize> {
        let Some(at) = self.open.iter().position(|open| open.as_raw_fd() == fd) else {
            bail!("descriptor {fd} is not open here");
        };
        Ok(at)
    }
}
