//! The laboratory's side of a process that owns sockets: it sends orders and receives answers.

use std::{
    io::{BufRead, BufReader, Read, Write, pipe},
    net::SocketAddr,
    os::fd::AsRawFd,
    path::PathBuf,
    process::{Command, Stdio, id},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

use super::{Netns, process::Process};
use crate::protocol::{Answer, Birth, Keepalive, Opened, Order, Wait};

pub struct Actor {
    /// Ends before the thread that reads its answers is waited for.
    process: Option<Process>,
    pid: u32,
    orders: Box<dyn Write + Send>,
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
        Ok(Self::new(name, Process::Ours(child), orders, stdout))
    }

    /// A copy of this actor with all its sockets.
    pub fn fork(&mut self, name: &str, birth: Birth) -> Result<Self> {
        let (orders, into) = pipe()?;
        let (from, answers) = pipe()?;
        let ours = |fd: i32| PathBuf::from(format!("/proc/{}/fd/{fd}", id()));
        let order = Order::Fork {
            name: name.to_owned(),
            birth,
            orders: ours(orders.as_raw_fd()),
            answers: ours(answers.as_raw_fd()),
        };
        let pid = match self.ask(&order)? {
            Answer::Forked { pid } => pid,
            other => bail!("{} answered {other:?} to {order:?}", self.name),
        };
        let copy = Self::new(name, Process::Copy(pid), into, from);
        match copy.answer()? {
            Answer::Done => Ok(copy),
            other => bail!("{name} began with {other:?}"),
        }
    }

    fn new(
        name: &str,
        process: Process,
        orders: impl Write + Send + 'static,
        answers: impl Read + Send + 'static,
    ) -> Self {
        let (sender, receiver) = channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(answers).lines() {
                let answer = line.map_err(anyhow::Error::from).and_then(|line| {
                    serde_json::from_str(&line).with_context(|| format!("actor said {line:?}"))
                });
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        Self {
            pid: process.pid(),
            process: Some(process),
            orders: Box::new(orders),
            answers: receiver,
            reader: Some(reader),
            name: name.to_owned(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Executes this program again in the same process.
    pub fn exec(&mut self, name: &str) -> Result<()> {
        self.done(&Order::Exec {
            name: name.to_owned(),
        })?;
        self.name = name.to_owned();
        Ok(())
    }

    /// Receives a socket that another actor passes; its number here.
    pub fn receive_from(&mut self, sender: &mut Self, sock: &Sock) -> Result<i32> {
        let at = format!("katrace-inbox-{}", self.pid);
        self.done(&Order::Receive { at: at.clone() })?;
        sender.done(&Order::Pass {
            fd: sock.fd,
            to: at,
        })?;
        match self.answer()? {
            Answer::Socket(opened) => Ok(opened.fd),
            other => bail!("{} received {other:?}", self.name),
        }
    }

    /// Copies a socket of another actor; its number here.
    pub fn take(&mut self, sock: &Sock) -> Result<i32> {
        let (pid, fd) = (sock.pid, sock.fd);
        Ok(self.opened(&Order::Take { pid, fd })?.fd)
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

    /// Opens an MPTCP connection.
    pub fn connect_multipath(&mut self, to: SocketAddr) -> Result<Sock> {
        let order = Order::Socket {
            v6: to.is_ipv6(),
            multipath: true,
            from: None,
            keepalive: None,
        };
        let fd = self.opened(&order)?.fd;
        let opened = self.opened(&Order::Connect { fd, to })?;
        self.sock(opened, None)
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
            multipath: false,
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

    /// The errno with which a connect that was left running came back.
    pub fn errno(&self) -> Result<i32> {
        match self.answer()? {
            Answer::Errno { errno } => Ok(errno),
            other => bail!("{} reports {other:?}, an errno was due", self.name),
        }
    }

    /// The errno with which a sleep ended; 0 for none.
    pub fn woken(&self) -> Result<i32> {
        match self.answer()? {
            Answer::Woken { errno } => Ok(errno),
            other => bail!("{} reports {other:?}, it was to sleep", self.name),
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

    pub fn ask(&mut self, order: &Order) -> Result<Answer> {
        self.tell(order)?;
        self.answer()
    }

    fn answer(&self) -> Result<Answer> {
        let limit = Duration::from_secs(90);
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

impl Sock {
    /// The same socket in another process.
    pub fn of(&self, holder: &Actor, fd: i32) -> Self {
        Self {
            pid: holder.pid,
            comm: holder.name.clone(),
            fd,
            ..self.clone()
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        drop(self.process.take());
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
