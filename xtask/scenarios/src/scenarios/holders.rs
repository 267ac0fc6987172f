//! Sockets that another process holds than the one that connected them.

use std::{fs, io::Write, net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result, ensure};

use super::{
    Act,
    check::{self, CONNECTED, Death, Evidence, INHERITED, PASSED, SCANNED},
    on,
};
use crate::{
    lab::{
        Actor, Pair, Scene, Sock, holders,
        pair::{self, OURS4, PEER4},
    },
    protocol::{Birth, Keepalive, Order},
};

const PORT: u16 = 7008;
const TO: SocketAddr = SocketAddr::new(PEER4, PORT);
/// The settings of a socket before and after it is passed to another process.
const QUIET: Keepalive = Keepalive::new(600, 1, 2);
const DYING: Keepalive = Keepalive::new(1, 1, 2);
/// Processes that hold one socket: a server and those it forked.
const HOLDERS: usize = 8;

/// A socket that has moved into another process.
struct Moved {
    holder: Actor,
    /// Its number there.
    fd: i32,
    evidence: Evidence,
    /// Still alive, without the socket.
    former: Option<Actor>,
}

pub fn forked() -> Result<Act> {
    moved(|_, mut first, sock| {
        let holder = first.fork("kat-child", Birth::default())?;
        first.done(&Order::Close { fd: sock.fd })?;
        Ok(Moved {
            holder,
            fd: sock.fd,
            evidence: INHERITED,
            former: Some(first),
        })
    })
}

pub fn passed_by_one_that_exits() -> Result<Act> {
    moved(|scene, mut first, sock| {
        let mut holder = Actor::start(&scene.pair.ours, "kat-receiver")?;
        let fd = holder.receive_from(&mut first, sock)?;
        Ok(Moved {
            holder,
            fd,
            evidence: PASSED,
            former: None,
        })
    })
}

pub fn passed_by_one_that_closes() -> Result<Act> {
    moved(|scene, mut first, sock| {
        let mut holder = Actor::start(&scene.pair.ours, "kat-receiver")?;
        let fd = holder.receive_from(&mut first, sock)?;
        first.done(&Order::Close { fd: sock.fd })?;
        Ok(Moved {
            holder,
            fd,
            evidence: PASSED,
            former: Some(first),
        })
    })
}

pub fn taken() -> Result<Act> {
    moved(|scene, mut first, sock| {
        let mut holder = Actor::start(&scene.pair.ours, "kat-taker")?;
        let fd = holder.take(sock)?;
        first.done(&Order::Close { fd: sock.fd })?;
        Ok(Moved {
            holder,
            fd,
            evidence: PASSED,
            former: Some(first),
        })
    })
}

pub fn executed() -> Result<Act> {
    moved(|_, mut first, sock| {
        first.exec("kat-after-exec")?;
        Ok(Moved {
            holder: first,
            fd: sock.fd,
            evidence: CONNECTED,
            former: None,
        })
    })
}

fn moved(act: fn(&Scene, Actor, &Sock) -> Result<Moved>) -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut first = Actor::start(&scene.pair.ours, "kat-first")?;
        let sock = first.connect(TO, Some(QUIET))?;
        let mut moved = act(scene, first, &sock)?;
        let mut sock = sock.of(&moved.holder, moved.fd);
        moved.holder.set(&mut sock, DYING)?;
        scene.pair.vanish()?;
        // Where the receiving cannot be seen, a descriptor table shows it, but not at once.
        let unseen = moved.evidence == PASSED && !scene.tracer.hooks("passed")?;
        if let Some(former) = moved.former.as_ref().filter(|_| unseen) {
            let timeout = scene.wait_for(&sock, "timeout", 4, |_| true)?;
            if timeout["pid"] == former.pid() {
                println!("  passed: this backend does not see a socket change hands");
                return Ok(());
            }
        }
        let evidence = if unseen { SCANNED } else { moved.evidence };
        dies_with(scene, &sock, evidence, &[(sock.pid, sock.fd)])?;
        drop(listener);
        Ok(())
    }))
}

/// The socket times out, held by these and no others.
fn dies_with(scene: &Scene, sock: &Sock, evidence: Evidence, holders: &[(u32, i32)]) -> Result<()> {
    let death = Death {
        evidence,
        ..Death::of("keepalive")
    };
    let timeout = check::dies(scene, sock, 4, &death)?;
    check::holders(&timeout, sock, holders)
}

/// A server accepts and forks: all of them hold the connection, and the one that read from it last
/// is using it.
pub fn preforked() -> Result<Act> {
    let pair = Pair::new()?;
    Ok(on(pair, |scene| {
        let mut server = Actor::start(&scene.pair.ours, "kat-prefork")?;
        let at = SocketAddr::from((OURS4, PORT));
        let listening = server.listen(at)?;
        let mut client = scene.pair.dial(at)?;
        let sock = server.accept(listening, Some(QUIET))?;
        let mut workers = (1..HOLDERS)
            .map(|number| server.fork(&format!("kat-worker-{number}"), Birth::default()))
            .collect::<Result<Vec<_>>>()?;
        let mut holders = vec![(server.pid(), sock.fd)];
        holders.extend(workers.iter().map(|worker| (worker.pid(), sock.fd)));
        let reader = workers.get_mut(HOLDERS / 2).context("too few workers")?;
        client.write_all(b".")?;
        reader.done(&Order::Read { fd: sock.fd })?;
        let mut used = sock.of(reader, sock.fd);
        reader.set(&mut used, DYING)?;
        scene.pair.vanish()?;
        if let Some(reason) = scene.tracer.unseen("recv")? {
            // Then any of them may be taken for the one that uses it.
            println!("  last to use it: {reason}");
            let timeout = scene.wait_for(&used, "timeout", 4, |_| true)?;
            return check::holders(&timeout, &used, &holders);
        }
        let seen = scene.tracer.hooks("accept")?;
        let evidence = if seen { INHERITED } else { SCANNED };
        dies_with(scene, &used, evidence, &holders)
    }))
}

/// The pid of the process that connected goes to another one, which has a socket of its own.
pub fn pid_reused() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut root = Actor::start(&scene.pair.ours, "kat-root")?;
        let mut first = root.fork("kat-first", Birth::default())?;
        let mut sock = first.connect(TO, Some(QUIET))?;
        let mut heir = first.fork("kat-heir", Birth::default())?;
        let mut usurper = replace(&mut root, first)?;
        let mut other = usurper.connect(TO, Some(QUIET))?;
        sock = sock.of(&heir, sock.fd);
        heir.set(&mut sock, DYING)?;
        usurper.set(&mut other, DYING)?;
        scene.pair.vanish()?;
        dies_with(scene, &sock, INHERITED, &[(heir.pid(), sock.fd)])?;
        dies_with(scene, &other, CONNECTED, &[(usurper.pid(), other.fd)])?;
        drop(listener);
        Ok(())
    }))
}

/// The same with a socket that nobody holds any more.
pub fn pid_reused_after_close() -> Result<Act> {
    let pair = Pair::new()?;
    pair.ours.sysctl("ipv4/tcp_orphan_retries", 2)?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut root = Actor::start(&scene.pair.ours, "kat-root")?;
        let mut first = root.fork("kat-first", Birth::default())?;
        let sock = first.connect(TO, None)?;
        let held = pair::accept(&listener)?;
        scene.pair.vanish()?;
        let usurper = replace(&mut root, first)?;
        // The FIN goes unanswered.
        let timeout = scene.wait_for(&sock, "timeout", 6, |_| true)?;
        check::field(&timeout, "pid", sock.pid)?;
        check::field(&timeout, "comm", sock.comm.as_str())?;
        check::field(&timeout, "owner_from", "last")?;
        check::holders(&timeout, &sock, &[])?;
        drop((usurper, held));
        Ok(())
    }))
}

/// Ends a process and starts another with its pid.
fn replace(root: &mut Actor, former: Actor) -> Result<Actor> {
    let pid = Some(former.pid());
    drop(former);
    let birth = Birth {
        pid,
        ..Birth::default()
    };
    let usurper = root.fork("kat-usurper", birth)?;
    ensure!(Some(usurper.pid()) == pid, "the pid was not taken over");
    Ok(usurper)
}

/// As a container's processes: pid, mount and network namespaces of their own.
pub fn apart() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut root = Actor::start(&scene.pair.ours, "kat-root")?;
        let birth = Birth {
            apart: true,
            ..Birth::default()
        };
        let mut actor = root.fork("kat-apart", birth)?;
        for kind in ["pid", "mnt"] {
            let same = namespace(actor.pid(), kind)? == namespace(root.pid(), kind)?;
            ensure!(!same, "both processes are in one {kind} namespace");
        }
        let sock = actor.connect(TO, Some(DYING))?;
        scene.pair.vanish()?;
        dies_with(scene, &sock, CONNECTED, &[(sock.pid, sock.fd)])?;
        drop(listener);
        Ok(())
    }))
}

/// No descriptor refers to the socket, so /proc knows nothing of its holder.
pub fn held_in_uring() -> Result<Act> {
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    Ok(on(pair, move |scene| {
        let mut actor = Actor::start(&scene.pair.ours, "kat-uring")?;
        let sock = actor.connect(TO, Some(Keepalive::new(2, 1, 2)))?;
        actor.done(&Order::HoldInUring { fd: sock.fd })?;
        ensure!(holders::of(sock.inode)?.is_empty(), "a descriptor is left");
        scene.pair.vanish()?;
        let timeout = scene.wait_for(&sock, "timeout", 5, |_| true)?;
        check::field(&timeout, "pid", sock.pid)?;
        check::field(&timeout, "comm", sock.comm.as_str())?;
        let from = timeout["owner_from"].as_str();
        ensure!(
            from == Some("connect"),
            "`owner_from` is {from:?} in {timeout}"
        );
        drop(listener);
        Ok(())
    }))
}

fn namespace(pid: u32, kind: &str) -> Result<PathBuf> {
    let path = format!("/proc/{pid}/ns/{kind}");
    fs::read_link(&path).with_context(|| format!("read {path}"))
}
