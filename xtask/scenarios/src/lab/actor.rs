//! A process that owns sockets, as the laboratory holds it: orders in, answers out.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

use super::{Netns, time::in_guest};
use crate::protocol::{Answer, Keepalive, Opened, Order, Wait};

pub struct Actor {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<Result<Answer>>,
    reader: Option<JoinHandle<()>>,
    name: String,
}

/// A socket, its owner and what the owner asked for.
#[derive(Clone, Debug)]
pub struct Sock {
    pub pid: u32,
    pub comm: String,
    pub fd: i32,
    pub inode: u64,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub keepalive: Option<Keepalive>,
}

impl Actor {
    /// Re-executes this program inside the namespace, under the name given.
    pub fn start(netns: &Netns, name: &str) -> Result<Self> {
        let mut child = netns.within(|| {
            Command::new("/proc/self/exe")
                .args(["actor", name])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("start the process {name}"))
        })?;
        let orders = child.stdin.take().context("an actor without stdin")?;
        let stdout = child.stdout.take().context("an actor without stdout")?;
        let (sender, answers) = channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let answer = line.map_err(anyhow::Error::from).and_then(|line| {
                    serde_json::from_str(&line).with_context(|| format!("actor said {line:?}"))
                });
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            orders,
            answers,
            reader: Some(reader),
            name: name.to_owned(),
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens a connection with these settings.
    pub fn connect(&mut self, to: SocketAddr, keepalive: Option<Keepalive>) -> Result<Sock> {
        self.connect_from(None, to, keepalive)
    }

    pub fn connect_from(
        &mut self,
        from: Option<SocketAddr>,
        to: SocketAddr,
        keepalive: Option<Keepalive>,
    ) -> Result<Sock> {
        let fd = self.socket(from, to, keepalive)?.fd;
        let opened = self.opened(&Order::Connect { fd, to })?;
        self.sock(opened, keepalive)
    }

    /// A socket that is bound and has yet to connect.
    pub fn socket(
        &mut self,
        from: Option<SocketAddr>,
        to: SocketAddr,
        keepalive: Option<Keepalive>,
    ) -> Result<Opened> {
        self.opened(&Order::Socket {
            v6: to.is_ipv6(),
            from,
            keepalive,
        })
    }

    pub fn accept(&mut self, fd: i32, keepalive: Option<Keepalive>) -> Result<Sock> {
        let opened = self.opened(&Order::Accept { fd, keepalive })?;
        self.sock(opened, keepalive)
    }

    pub fn listen(&mut self, at: SocketAddr) -> Result<i32> {
        Ok(self.opened(&Order::Listen { at })?.fd)
    }

    /// Changes the settings of a socket that is already open.
    pub fn set(&mut self, sock: &mut Sock, keepalive: Keepalive) -> Result<()> {
        self.done(&Order::Set {
            fd: sock.fd,
            keepalive,
        })?;
        sock.keepalive = Some(keepalive);
        Ok(())
    }

    /// What the socket's options are, asked from inside the process.
    pub fn options(&mut self, fd: i32) -> Result<Keepalive> {
        match self.ask(&Order::Options { fd })? {
            Answer::Options(options) => Ok(options),
            other => bail!("{} answered {other:?} for its options", self.name),
        }
    }

    pub fn sleep_in(&mut self, fd: i32, how: Wait) -> Result<()> {
        self.done(&Order::Sleep { fd, how })
    }

    pub fn done(&mut self, order: &Order) -> Result<()> {
        match self.ask(order)? {
            Answer::Done => Ok(()),
            other => bail!("{} answered {other:?} to {order:?}", self.name),
        }
    }

    /// The errno with which a call that was left running came back.
    pub fn errno(&mut self) -> Result<i32> {
        match self.answer()? {
            Answer::Errno { errno } => Ok(errno),
            other => bail!("{} reports {other:?}, an errno was due", self.name),
        }
    }

    pub fn tell(&mut self, order: &Order) -> Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders
            .write_all(&line)
            .with_context(|| format!("give {} an order", self.name))
    }

    fn opened(&mut self, order: &Order) -> Result<Opened> {
        match self.ask(order)? {
            Answer::Socket(opened) => Ok(opened),
            other => bail!("{} answered {other:?} to {order:?}", self.name),
        }
    }

    fn ask(&mut self, order: &Order) -> Result<Answer> {
        self.tell(order)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer> {
        let limit = Duration::from_secs(if in_guest() { 90 } else { 30 });
        match self.answers.recv_timeout(limit) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => bail!("{} has not answered", self.name),
            Err(RecvTimeoutError::Disconnected) => bail!("{} ended early", self.name),
        }
    }

    fn sock(&self, opened: Opened, keepalive: Option<Keepalive>) -> Result<Sock> {
        let missing = || anyhow!("a connected socket without two ends");
        Ok(Sock {
            pid: self.pid(),
            comm: self.name.clone(),
            fd: opened.fd,
            inode: opened.inode,
            local: opened.local.ok_or_else(missing)?,
            remote: opened.remote.ok_or_else(missing)?,
            keepalive,
        })
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Both fail only when the process is already gone, which is the aim.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
