//! The process that owns sockets: carries out orders from stdin, one at a time.

mod crowd;
mod socket;

use std::{
    ffi::CString,
    io::{self, BufRead, Write},
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use crowd::Crowd;
use nix::sys::prctl;

use crate::protocol::{Answer, Order};

pub fn run(name: &str) -> Result<()> {
    prctl::set_name(&CString::new(name)?).context("take the name")?;
    let mut sockets = Sockets::default();
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
}

impl Sockets {
    fn carry_out(&mut self, order: Order) -> Result<Answer> {
        Ok(match order {
            Order::Socket {
                v6,
                from,
                keepalive,
            } => self.keep(socket::create(v6, from, keepalive)?)?,
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
                Answer::Errno {
                    errno: socket::sleep_in(self.find(fd)?, how)?,
                }
            }
            Order::Close { fd } => {
                let at = self.position(fd)?;
                self.open.swap_remove(at);
                Answer::Done
            }
            Order::Crowd { to, count } => {
                self.crowd = Crowd::open(to, count)?;
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
