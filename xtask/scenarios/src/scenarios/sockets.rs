//! The listing of sockets, compared with the sockets themselves.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::check::{TICK_MS, field, number};
use crate::{
    lab::{
        Actor, Katrace, Netns, Pair, Sock,
        output::{ended, joined, output, read_all},
        pair::{OURS4, PEER4},
        time::{deadline, wait_until},
    },
    protocol::{Keepalive, Order},
};

const PORT: u16 = 7010;
const TO: SocketAddr = SocketAddr::new(PEER4, PORT);
/// The kernel's defaults, for settings that nobody set: idle time and interval in seconds, and the count.
const IDLE_S: u32 = 7200;
const INTVL_S: u32 = 75;
const CNT: u32 = 9;

/// One listing by inode, of sockets that have one.
pub type Rows = HashMap<u64, Value>;

/// The readers that this kernel allows. A refusal is printed.
pub fn readers(katrace: &Katrace) -> Result<Vec<&'static str>> {
    let mut readers = Vec::new();
    for reader in ["iter", "diag"] {
        let args = ["sockets", "-N", "self", "--json", "--reader", reader];
        let output = output(Command::new(&katrace.path).args(args))?;
        match output.status.code() {
            Some(0) => readers.push(reader),
            Some(3) => println!("  {reader} is refused here: {}", output.stderr.trim_end()),
            _ => bail!("--reader {reader}: {}: {}", output.status, output.stderr),
        }
    }
    ensure!(!readers.is_empty(), "no reader is allowed here");
    Ok(readers)
}

pub fn list(katrace: &Katrace, reader: &str, netns: &Netns, more: &[&str]) -> Result<Rows> {
    let inode = netns.inode.to_string();
    let args = ["sockets", "--json", "--reader", reader, "-N", &inode];
    let output = output(Command::new(&katrace.path).args(args).args(more))?;
    ensure!(
        output.status.code() == Some(0),
        "{reader} ended with {}: {}",
        output.status,
        output.stderr
    );
    let mut rows = Rows::new();
    for line in output.stdout.lines() {
        let row: Value =
            serde_json::from_str(line).with_context(|| format!("not a record: {line}"))?;
        field(&row, "netns", netns.inode)?;
        if let Some(inode) = row["inode"].as_u64() {
            let earlier = rows.insert(inode, row);
            ensure!(earlier.is_none(), "listed twice: {earlier:?}");
        }
    }
    Ok(rows)
}

fn of(rows: &Rows, inode: u64) -> Result<&Value> {
    rows.get(&inode)
        .with_context(|| format!("the socket with inode {inode} is not listed"))
}

/// The row's values are what `getsockopt` answers inside the process.
fn is_as_inside(row: &Value, inside: Keepalive) -> Result<()> {
    field(row, "keepalive", inside.on)?;
    let ms = |seconds: Option<u32>| seconds.map(|seconds| seconds * 1000);
    field(row, "keepidle_ms", ms(inside.idle_s))?;
    field(row, "keepintvl_ms", ms(inside.intvl_s))?;
    field(row, "keepcnt", inside.cnt)?;
    field(row, "user_timeout_ms", inside.user_timeout_ms)
}

fn comes_from(row: &Value, from: [&str; 4]) -> Result<()> {
    let names = ["keepidle", "keepintvl", "keepcnt", "user_timeout"];
    names
        .iter()
        .zip(from)
        .try_for_each(|(name, from)| field(row, &format!("{name}_from"), from))
}

pub fn settings(katrace: &Katrace) -> Result<()> {
    let case = Settings::open(katrace)?;
    for reader in readers(katrace)? {
        case.tuned(reader)?;
        case.fresh(reader)?;
    }
    Ok(())
}

/// One process in a namespace whose sysctls were changed, and one in a fresh namespace.
struct Settings<'a> {
    katrace: &'a Katrace,
    began: Instant,
    tuned: (Pair, RefCell<Actor>),
    plain: (Pair, RefCell<Actor>),
    /// By where their settings come from: the namespace; the socket; both; the namespace, but keepalive is off.
    inherits: Sock,
    overrides: Sock,
    mixes: Sock,
    off: Sock,
    elsewhere: Sock,
    listening: i32,
    _listeners: (TcpListener, TcpListener),
}

impl<'a> Settings<'a> {
    fn open(katrace: &'a Katrace) -> Result<Self> {
        let began = Instant::now();
        let (tuned, plain) = (Pair::new()?, Pair::new()?);
        tuned.ours.sysctl("ipv4/tcp_keepalive_time", 600)?;
        tuned.ours.sysctl("ipv4/tcp_keepalive_probes", 4)?;
        let listeners = (tuned.listen(PORT)?, plain.listen(PORT)?);
        let mut actor = Actor::start(&tuned.ours, "kat-tuned")?;
        let mut other = Actor::start(&plain.ours, "kat-plain")?;
        let own = Keepalive::new(60, 10, 3).user_timeout(30_000);
        let mixed = Keepalive {
            cnt: Some(7),
            ..Keepalive::plain()
        };
        let listening = actor.listen(SocketAddr::new(OURS4, PORT))?;
        actor.done(&Order::Set {
            fd: listening,
            keepalive: own,
        })?;
        Ok(Self {
            katrace,
            began,
            inherits: actor.connect(TO, Some(Keepalive::plain()))?,
            overrides: actor.connect(TO, Some(own))?,
            mixes: actor.connect(TO, Some(mixed))?,
            off: actor.connect(TO, None)?,
            elsewhere: other.connect(TO, Some(Keepalive::plain()))?,
            listening,
            tuned: (tuned, actor.into()),
            plain: (plain, other.into()),
            _listeners: listeners,
        })
    }

    fn tuned(&self, reader: &str) -> Result<()> {
        let (pair, actor) = (&self.tuned.0, &mut *self.tuned.1.borrow_mut());
        let rows = list(self.katrace, reader, &pair.ours, &[])?;
        let (socket, netns, default) = ("socket", "netns", "default");
        for (sock, from) in [
            (&self.inherits, [netns, default, netns, default]),
            (&self.overrides, [socket, socket, socket, socket]),
            (&self.mixes, [netns, default, socket, default]),
            (&self.off, [netns, default, netns, default]),
        ] {
            let row = of(&rows, sock.inode)?;
            is_as_inside(row, actor.options(sock.fd)?)?;
            comes_from(row, from)?;
            field(row, "state", "ESTABLISHED")?;
            field(row, "lport", sock.local.port())?;
            field(row, "rport", PORT)?;
            field(row, "pid", sock.pid)?;
            field(row, "comm", sock.comm.as_str())?;
            field(row, "owner_from", "scan")?;
        }
        self.detection(&rows)?;
        let listener = rows.values().find(|row| row["state"] == "LISTEN");
        let listener = listener.context("the listener is not listed")?;
        is_as_inside(listener, actor.options(self.listening)?)?;
        comes_from(listener, [socket; 4])?;
        for name in ["detect_idle_ms", "detect_data_ms", "silence_ms"] {
            field(listener, name, Value::Null)?;
        }
        let silent = list(self.katrace, reader, &pair.ours, &["--no-keepalive"])?;
        let only: Vec<u64> = silent.keys().copied().collect();
        ensure!(only == [self.off.inode], "--no-keepalive lists {silent:?}");
        Ok(())
    }

    fn detection(&self, rows: &Rows) -> Result<()> {
        let (overrides, off) = (of(rows, self.overrides.inode)?, of(rows, self.off.inode)?);
        // 600 + 4 × 75; 60 + 3 × 10 without the user timeout, whose 30 s end at the second expiry.
        field(of(rows, self.inherits.inode)?, "detect_idle_ms", 900_000)?;
        field(overrides, "detect_idle_ms", 70_000)?;
        field(overrides, "detect_data_ms", 30_000)?;
        field(off, "detect_idle_ms", Value::Null)?;
        field(off, "next_probe_ms", Value::Null)?;
        let next = number(overrides, "next_probe_ms")?;
        let since = self.began.elapsed().as_millis() as u64;
        ensure!(
            next <= 60_000 && next + since + TICK_MS >= 60_000,
            "the next probe is {next} ms away, {since} ms after the socket was made; 60 s were set"
        );
        Ok(())
    }

    fn fresh(&self, reader: &str) -> Result<()> {
        let (pair, actor) = (&self.plain.0, &mut *self.plain.1.borrow_mut());
        let rows = list(self.katrace, reader, &pair.ours, &[])?;
        let row = of(&rows, self.elsewhere.inode)?;
        let inside = actor.options(self.elsewhere.fd)?;
        ensure!(
            inside == Keepalive::new(IDLE_S, INTVL_S, CNT).user_timeout(0),
            "a fresh namespace gives {inside:?}"
        );
        is_as_inside(row, inside)?;
        comes_from(row, ["default"; 4])
    }
}

pub fn dying(katrace: &Katrace) -> Result<()> {
    for reader in readers(katrace)? {
        let pair = Pair::new()?;
        let listener = pair.listen(PORT)?;
        let mut actor = Actor::start(&pair.ours, "kat-dying")?;
        let sock = actor.connect(TO, Some(Keepalive::new(2, 1, 3)))?;
        let calm = list(katrace, reader, &pair.ours, &["--dying"])?;
        ensure!(calm.is_empty(), "nothing dies yet, but: {calm:?}");
        pair.vanish()?;
        let mut last: Option<Value> = None;
        let mut failed = None;
        let gone = wait_until(deadline(8), || {
            match list(katrace, reader, &pair.ours, &["--dying"]) {
                Ok(mut rows) => match rows.remove(&sock.inode) {
                    Some(row) => {
                        last = Some(row);
                        false
                    }
                    None => last.is_some(),
                },
                Err(error) => {
                    failed = Some(error);
                    true
                }
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let last = last.context("--dying never listed the socket")?;
        ensure!(gone, "{last} lives on");
        // 2 + 3 × 1 s
        field(&last, "detect_idle_ms", 5000)?;
        let (unanswered, silence) = (number(&last, "unanswered")?, number(&last, "silence_ms")?);
        ensure!(
            (1..=3).contains(&unanswered),
            "{unanswered} probes unanswered, 1 to 3 were due"
        );
        // The first probe ends the idle time, and an interval lies before each further one.
        let least = 2000 + (unanswered - 1) * 1000;
        ensure!(
            silence + TICK_MS >= least,
            "{unanswered} probes unanswered after {silence} ms of silence, {least} were due"
        );
        drop(listener);
    }
    Ok(())
}

pub fn watch(katrace: &Katrace) -> Result<()> {
    let pair = Pair::new()?;
    let mut actor = Actor::start(&pair.ours, "kat-watch")?;
    actor.listen(SocketAddr::new(OURS4, PORT))?;
    let inode = pair.ours.inode.to_string();
    let args = ["sockets", "--json", "--watch", "300ms", "-N", &inode];
    let mut child = Command::new(&katrace.path)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let complaints = read_all(child.stderr.take());
    let mut lines = BufReader::new(child.stdout.take().context("katrace without stdout")?).lines();
    // One socket a listing, an empty line between two.
    for listing in 0..3 {
        if listing > 0 {
            let gap = lines.next().context("katrace ended early")??;
            ensure!(gap.is_empty(), "{gap} stands between two listings");
        }
        let line = lines.next().context("katrace ended early")??;
        field(&serde_json::from_str(&line)?, "state", "LISTEN")?;
    }
    kill(Pid::from_raw(child.id().try_into()?), Signal::SIGINT)?;
    let status = ended(&mut child, 6).context("katrace went on after SIGINT")?;
    let complaints = joined(complaints)?;
    ensure!(
        status.code() == Some(0),
        "katrace ended with {status}: {complaints}"
    );
    Ok(())
}
