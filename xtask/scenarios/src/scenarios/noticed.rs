//! Who received the error of a dead connection, through which call, and how long after.

use std::{
    net::{SocketAddr, TcpListener},
    ops::RangeInclusive,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    Act,
    check::{self, CONNECTED},
    on,
};
use crate::{
    lab::{
        Actor, Katrace, Pair, Record, Scene, Sock,
        pair::{OURS4, PEER4, SILENT4},
        scene::explain,
        time::{deadline, wait_until},
    },
    protocol::{Keepalive, Order, Wait},
};

const PORT: u16 = 7009;
const TO: SocketAddr = SocketAddr::new(PEER4, PORT);
/// Room for every process to be waiting before the first probe.
const SETTINGS: Keepalive = Keepalive::new(2, 1, 2);
const LATE_MS: u64 = 2000;
/// From the last death to the end of the trace.
const SUMMARY_AFTER_MS: u64 = 1000;

/// How a process waits, and the names that katrace may give to this call.
type Way = (Wait, &'static [&'static str]);

/// The first takes data, the second gives it: read is a recv in the kernel, write a send, and newer
/// kernels make a send of sendfile too.
const IN_THE_CALL: &[Way] = &[
    (Wait::Recv, &["recv"]),
    (Wait::Read, &["recv"]),
    (Wait::Splice, &["splice"]),
    (Wait::UringRecv, &["recv"]),
];
const AFTER_POLL: &[Way] = &[
    (Wait::Poll, &["recv"]),
    (Wait::Epoll, &["recv"]),
    (Wait::SoError, &["getsockopt"]),
];
const GIVING: &[Way] = &[
    (Wait::Send, &["send"]),
    (Wait::Write, &["send"]),
    (Wait::Sendfile, &["sendfile", "send"]),
];
const LATE: &[Way] = &[(Wait::RecvAfter { ms: LATE_MS }, &["recv"])];

pub fn in_the_call() -> Result<Act> {
    all_of(IN_THE_CALL)
}

pub fn after_poll() -> Result<Act> {
    all_of(AFTER_POLL)
}

pub fn by_giving() -> Result<Act> {
    all_of(GIVING)
}

pub fn late() -> Result<Act> {
    all_of(LATE)
}

/// A process for each way, all of whose connections die.
fn all_of(ways: &'static [Way]) -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut waiting = Vec::new();
        for (number, (how, calls)) in ways.iter().enumerate() {
            let mut actor = Actor::start(&scene.pair.ours, &format!("kat-waits-{number}"))?;
            let sock = actor.connect(TO, Some(SETTINGS))?;
            actor.sleep_in(sock.fd, *how)?;
            waiting.push((actor, sock, how, calls));
        }
        let began = Instant::now();
        scene.pair.vanish()?;
        for (actor, sock, how, calls) in &waiting {
            let timeout = scene.wait_for(sock, "timeout", 5, |_| true)?;
            let errno = actor.woken()?;
            let most = began.elapsed();
            let delay = match how {
                Wait::RecvAfter { ms } => Duration::from_millis(*ms)..=most,
                _ => Duration::ZERO..=most,
            };
            noticed(scene, sock, &timeout, calls, (errno, delay))
                .with_context(|| format!("{how:?}"))?;
        }
        drop(listener);
        Ok(())
    }))
}

/// Checks the one `noticed` of a socket: the errno with which its call ended, and within which times `delay_ms` lies. Or
/// checks that katrace said beforehand that there can be none.
fn noticed(
    scene: &Scene,
    sock: &Sock,
    timeout: &Record,
    calls: &[&str],
    (errno, delay): (i32, RangeInclusive<Duration>),
) -> Result<()> {
    ensure!(
        errno == libc::ETIMEDOUT,
        "the call ended with errno {errno}"
    );
    let mut reasons = Vec::new();
    for call in calls {
        reasons.extend(scene.tracer.unseen(call)?);
    }
    if reasons.len() == calls.len() {
        // katrace said that it cannot see this call. Then it must show no event.
        sleep(Duration::from_millis(300));
        let told = of_kind(scene, sock, "noticed");
        ensure!(
            told.is_empty(),
            "katrace cannot see {calls:?}, yet {told:?}"
        );
        println!("  no `noticed`: {}", reasons.join("; "));
        return Ok(());
    }
    let event = scene.wait_for(sock, "noticed", 3, |_| true)?;
    check::common(scene, &event, sock, CONNECTED)?;
    check::field(&event, "tid", sock.pid)?;
    check::field(&event, "errno", "ETIMEDOUT")?;
    check::field(&event, "state", "CLOSE")?;
    for name in ["laddr", "lport", "raddr", "rport", "netns", "inode"] {
        check::field(&event, name, timeout[name].clone())?;
    }
    let call = event["call"].as_str().unwrap_or("null");
    ensure!(
        calls.contains(&call),
        "`call` is {call}, one of {calls:?} was due"
    );
    let delay_ms = event["delay_ms"].as_f64();
    let delay_ms = delay_ms.with_context(|| format!("`delay_ms` is no number in {event}"))?;
    ensure!(
        delay_ms >= 0.0 && delay.contains(&Duration::from_secs_f64(delay_ms / 1000.0)),
        "`delay_ms` is {delay_ms}, {delay:?} was due"
    );
    let told = of_kind(scene, sock, "noticed");
    ensure!(told.len() == 1, "an error is received once, yet {told:?}");
    Ok(())
}

fn of_kind(scene: &Scene, sock: &Sock, kind: &str) -> Vec<Record> {
    let mut events = scene.events(sock);
    events.retain(|event| event["event"] == kind);
    events
}

/// Connecting to a silent host: one process waits in connect, the other asks for `SO_ERROR`.
pub fn by_connecting() -> Result<Act> {
    let pair = Pair::new()?;
    pair.ours.sysctl("ipv4/tcp_syn_retries", 1)?;
    Ok(on(pair, |scene| {
        let to = SocketAddr::from((SILENT4, PORT));
        let began = Instant::now();
        let mut blocked = Actor::start(&scene.pair.ours, "kat-blocked")?;
        let first = connecting(&mut blocked, 40_011, to)?;
        blocked.tell(&Order::Connect { fd: first.fd, to })?;
        let mut asking = Actor::start(&scene.pair.ours, "kat-asking")?;
        let second = connecting(&mut asking, 40_012, to)?;
        let fd = second.fd;
        asking.done(&Order::BeginConnect { fd, to })?;
        asking.sleep_in(fd, Wait::SoError)?;

        let timeout = scene.wait_for(&first, "timeout", 5, |_| true)?;
        check::field(&timeout, "cause", "connect")?;
        let errno = blocked.errno()?;
        let ended = (errno, Duration::ZERO..=began.elapsed());
        noticed(scene, &first, &timeout, &["connect"], ended).context("a blocking connect")?;
        let timeout = scene.wait_for(&second, "timeout", 5, |_| true)?;
        let errno = asking.woken()?;
        let ended = (errno, Duration::ZERO..=began.elapsed());
        noticed(scene, &second, &timeout, &["getsockopt"], ended)
            .context("a connect that does not block")
    }))
}

/// A bound socket that has yet to connect.
fn connecting(actor: &mut Actor, port: u16, to: SocketAddr) -> Result<Sock> {
    let from = SocketAddr::from((OURS4, port));
    let opened = actor.socket(Some(from), to, None)?;
    Ok(Sock {
        pid: actor.pid(),
        comm: actor.name().to_owned(),
        fd: opened.fd,
        inode: opened.inode,
        local: from,
        remote: to,
        keepalive: None,
    })
}

/// One process never reads, one closes without reading, one reads: the summary tells them apart.
pub fn unnoticed(katrace: &Katrace) -> Result<()> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    let netns = pair.ours.inode.to_string();
    let tracer = katrace
        .start(["-N", netns.as_str(), "-e", "probe,timeout,noticed"])?
        .ready()?;
    let unseen = tracer.unseen("recv")?;
    let mut held = Held::new(&pair, listener)?;
    let scene = Scene::open(&tracer, &pair)?;
    held.die(&scene)
        .map_err(|error| explain(&[&scene], error))?;
    // Time for the reader's `noticed`, and for the summary to count from.
    sleep(Duration::from_millis(SUMMARY_AFTER_MS));
    if unseen.is_none() {
        wait_until(deadline(1), || {
            !of_kind(&scene, &held.reader.1, "noticed").is_empty()
        });
    }
    let stopped = tracer.stop()?;
    held.told(stopped.summary()?, stopped.count("noticed"), unseen)
}

struct Held {
    away: (Actor, Sock),
    closer: (Actor, Sock),
    reader: (Actor, Sock),
    _listener: TcpListener,
}

impl Held {
    fn new(pair: &Pair, listener: TcpListener) -> Result<Self> {
        let start = |name| -> Result<(Actor, Sock)> {
            let mut actor = Actor::start(&pair.ours, name)?;
            let sock = actor.connect(TO, Some(SETTINGS))?;
            Ok((actor, sock))
        };
        let mut held = Self {
            away: start("kat-never-reads")?,
            closer: start("kat-closes")?,
            reader: start("kat-reads")?,
            _listener: listener,
        };
        let (reader, sock) = &mut held.reader;
        reader.sleep_in(sock.fd, Wait::Recv)?;
        pair.vanish()?;
        Ok(held)
    }

    fn die(&mut self, scene: &Scene) -> Result<()> {
        for (_, sock) in [&self.away, &self.closer, &self.reader] {
            scene.wait_for(sock, "timeout", 5, |_| true)?;
        }
        let (closer, sock) = &mut self.closer;
        closer.done(&Order::Close { fd: sock.fd })
    }

    fn told(&self, summary: &Record, shown: u64, unseen: Option<String>) -> Result<()> {
        if let Some(reason) = unseen {
            // A backend that cannot see received errors cannot know which deaths were not noticed.
            println!("  unnoticed deaths: {reason}");
            return check::field(summary, "noticed", 0);
        }
        check::field(summary, "noticed", 1)?;
        ensure!(shown == 1, "{shown} `noticed` lines of one");
        check::field(summary, "unnoticed_count", 2)?;
        let list = summary["unnoticed"].as_array();
        let list = list.with_context(|| format!("no list `unnoticed` in {summary}"))?;
        ensure!(list.len() == 2, "{} deaths in {summary}", list.len());
        for ((_, sock), closed) in [(&self.away, false), (&self.closer, true)] {
            let entry = list
                .iter()
                .find(|entry| entry["lport"] == sock.local.port());
            let entry = entry.with_context(|| format!("{} is not in {summary}", sock.comm))?;
            check::field(entry, "pid", sock.pid)?;
            check::field(entry, "comm", sock.comm.as_str())?;
            check::field(entry, "laddr", sock.local.ip().to_string())?;
            check::field(entry, "raddr", sock.remote.ip().to_string())?;
            check::field(entry, "rport", sock.remote.port())?;
            check::field(entry, "errno", "ETIMEDOUT")?;
            check::field(entry, "closed", closed)?;
            check::at_least(entry, "dead_ms", SUMMARY_AFTER_MS)?;
        }
        Ok(())
    }
}
