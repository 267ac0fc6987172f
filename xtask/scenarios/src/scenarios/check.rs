//! What every event of a socket must say, and the shapes that several scenarios share.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    lab::{MissedEvents, Record, Scene, Sock, holders, scene::event_time},
    protocol::Keepalive,
};

/// tcp_keepalive_time, _intvl and _probes of a fresh namespace.
const DEFAULTS: (u32, u32, u32) = (7200, 75, 9);

/// The evidence a scenario allows for the owner.
pub type Evidence = &'static [&'static str];
pub const CONNECTED: Evidence = &["connect"];
pub const ACCEPTED: Evidence = &["accept", "scan"];
pub const SCANNED: Evidence = &["scan"];
pub const INHERITED: Evidence = &["inherited"];
pub const PASSED: Evidence = &["passed"];

/// One field, compared exactly.
pub fn field(event: &Value, name: &str, wanted: impl Into<Value>) -> Result<()> {
    let wanted = wanted.into();
    ensure!(
        event[name] == wanted,
        "`{name}` is {}, {wanted} was due, in {event}",
        event[name]
    );
    Ok(())
}

pub fn number(event: &Value, name: &str) -> Result<u64> {
    event[name]
        .as_u64()
        .with_context(|| format!("`{name}` is not a number in {event}"))
}

/// The kernel counts in jiffies of up to 10 ms.
pub const TICK_MS: u64 = 10;
/// Longer than any delay of a busy machine. A number that is in a wrong unit exceeds it.
const FAR_TOO_LONG_MS: u64 = 30_000;

/// A field with a time that cannot be shorter than `least_ms`. A busy machine may make it longer.
pub fn at_least(event: &Value, name: &str, least_ms: u64) -> Result<()> {
    let found = number(event, name)?;
    let due = least_ms..=least_ms + FAR_TOO_LONG_MS;
    ensure!(
        due.contains(&found) || due.contains(&(found + TICK_MS)),
        "`{name}` is {found}, {due:?} was due"
    );
    Ok(())
}

/// Every field that does not depend on the kind of event.
pub fn common(scene: &Scene, event: &Value, sock: &Sock, evidence: Evidence) -> Result<()> {
    let (local, remote) = (
        sock.local.ip().to_canonical(),
        sock.remote.ip().to_canonical(),
    );
    field(
        event,
        "family",
        if remote.is_ipv4() { "ipv4" } else { "ipv6" },
    )?;
    field(event, "laddr", local.to_string())?;
    field(event, "raddr", remote.to_string())?;
    field(event, "lport", sock.local.port())?;
    field(event, "rport", sock.remote.port())?;
    field(event, "netns", scene.pair.ours.inode)?;
    field(event, "inode", sock.inode)?;
    owner(event, sock, evidence)?;
    settings(event, sock.keepalive)?;
    // A peer that has yet to answer the first SYN was never heard.
    match event["state"].as_str() {
        Some("SYN_SENT") => field(event, "silence_ms", Value::Null)?,
        // Dead already, and perhaps never connected.
        Some("CLOSE") => {}
        _ => {
            number(event, "silence_ms")?;
        }
    }
    let at = event_time(event)?;
    ensure!(
        event["time"]
            .as_str()
            .is_some_and(|text| text.ends_with('Z')),
        "`time` is not UTC"
    );
    ensure!(
        at >= scene.began && at <= Timestamp::now(),
        "`time` lies outside the scenario: {at}"
    );
    Ok(())
}

fn owner(event: &Value, sock: &Sock, evidence: Evidence) -> Result<()> {
    field(event, "pid", sock.pid)?;
    field(event, "comm", sock.comm.as_str())?;
    ensure!(
        owners(event)?.iter().any(|owner| {
            owner["pid"] == sock.pid && owner["comm"] == sock.comm && owner["fd"] == sock.fd
        }),
        "`owners` lacks {} ({}, descriptor {}) in {event}",
        sock.pid,
        sock.comm,
        sock.fd
    );
    let from = event["owner_from"].as_str().unwrap_or("null");
    ensure!(
        evidence.contains(&from),
        "`owner_from` is {from}, one of {evidence:?} was due, in {event}"
    );
    Ok(())
}

fn owners(event: &Value) -> Result<&Vec<Value>> {
    event["owners"].as_array().context("`owners` is no list")
}

/// `owners` are these processes with these descriptors, as /proc has it too, and each is described
/// as /proc describes it.
pub fn holders(event: &Value, sock: &Sock, wanted: &[(u32, i32)]) -> Result<()> {
    let wanted: BTreeSet<_> = wanted
        .iter()
        .map(|(pid, fd)| (u64::from(*pid), *fd as u64))
        .collect();
    let held = holders::of(sock.inode)?;
    ensure!(
        held == wanted,
        "/proc shows {held:?}, the scenario made {wanted:?}"
    );
    let owners = owners(event)?;
    let told: BTreeSet<_> = owners
        .iter()
        .map(|owner| Ok((number(owner, "pid")?, number(owner, "fd")?)))
        .collect::<Result<_>>()?;
    ensure!(
        told == held,
        "`owners` are {told:?}, /proc shows {held:?}, in {event}"
    );
    ensure!(owners.len() == held.len(), "an owner twice in {event}");
    owners.iter().try_for_each(described)
}

/// One of `owners`, while it lives.
fn described(owner: &Value) -> Result<()> {
    let proc = format!("/proc/{}", number(owner, "pid")?);
    let status = fs::read_to_string(format!("{proc}/status"))?;
    let of = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        Ok(word
            .with_context(|| format!("no {name} in status"))?
            .parse()?)
    };
    field(owner, "ppid", of("PPid:")?)?;
    field(owner, "uid", of("Uid:")?)?;
    let exe = fs::read_link(format!("{proc}/exe"))?;
    field(owner, "exe", exe.to_string_lossy())?;
    let cmdline = owner["cmdline"].to_string();
    ensure!(cmdline.contains("actor"), "`cmdline` is {cmdline}");
    let cgroup = fs::read_to_string(format!("{proc}/cgroup"))?;
    let told = owner["cgroup"].as_str().unwrap_or("null");
    ensure!(
        cgroup
            .lines()
            .any(|line| line.ends_with(&format!(":{told}"))),
        "`cgroup` is {told}, /proc says {cgroup}"
    );
    Ok(())
}

pub fn settings(event: &Value, keepalive: Option<Keepalive>) -> Result<()> {
    let wanted = keepalive.unwrap_or_default();
    field(
        event,
        "keepidle_ms",
        wanted.idle_s.unwrap_or(DEFAULTS.0) * 1000,
    )?;
    field(
        event,
        "keepintvl_ms",
        wanted.intvl_s.unwrap_or(DEFAULTS.1) * 1000,
    )?;
    field(event, "keepcnt", wanted.cnt.unwrap_or(DEFAULTS.2))?;
    field(
        event,
        "user_timeout_ms",
        wanted.user_timeout_ms.unwrap_or(0),
    )
}

/// How a connection must end.
pub struct Death {
    pub cause: &'static str,
    pub state: &'static str,
    pub evidence: Evidence,
}

impl Death {
    pub fn of(cause: &'static str) -> Self {
        Self {
            cause,
            state: "ESTABLISHED",
            evidence: CONNECTED,
        }
    }
}

/// Waits for the one `timeout` of a socket and checks all its events; returns the timeout.
pub fn dies(scene: &Scene, sock: &Sock, seconds: u64, death: &Death) -> Result<Record> {
    let timeout = scene.wait_for(sock, "timeout", seconds, |_| true)?;
    let events = scene.events(sock);
    for event in &events {
        common(scene, event, sock, death.evidence)?;
        // Who receives the error does so from a socket that is closed by then.
        let dead = event["event"] == "noticed";
        field(event, "state", if dead { "CLOSE" } else { death.state })?;
    }
    let deaths = events
        .iter()
        .filter(|event| event["event"] == "timeout")
        .count();
    ensure!(deaths == 1, "{deaths} `timeout` events of one socket");
    let last = events.iter().rfind(is_kernel_event);
    ensure!(
        last == Some(&timeout),
        "an event follows the timeout: {last:?}"
    );
    field(&timeout, "cause", death.cause)?;
    field(&timeout, "errno", "ETIMEDOUT")?;
    Ok(timeout)
}

/// `noticed` is an event of the process and may follow a death.
fn is_kernel_event(event: &&Record) -> bool {
    event["event"] != "noticed"
}

/// Checks that the probes of a socket form whole runs: each begins at 1 and counts up, and each
/// but the last one was answered. Returns the length of the last run.
pub fn last_run(events: &[Record]) -> Result<u64> {
    let mut run = 0;
    // An answer that comes first belongs to a probe from before the observation.
    let first = events.iter().position(|event| event["event"] == "probe");
    let events = &events[first.unwrap_or(events.len())..];
    for event in events {
        match event["event"].as_str() {
            Some("probe") => {
                let probe = number(event, "probe")?;
                let text = format!("probe {probe} follows probe {run}");
                if probe > run + 1 {
                    bail!(MissedEvents(text));
                }
                ensure!(probe == run + 1, text);
                run = probe;
            }
            Some("answered") => {
                field(event, "unanswered", run)?;
                run = 0;
            }
            Some(_) => {}
            None => bail!("a record without `event`: {event}"),
        }
    }
    Ok(run)
}

/// The last run of probes has the length that was due; a shorter one is [`MissedEvents`].
pub fn ends_with_run(events: &[Record], due: u64) -> Result<()> {
    let run = last_run(events)?;
    let text = format!("{run} probes before the timeout, {due} were due");
    if run < due {
        bail!(MissedEvents(text));
    }
    ensure!(run == due, text);
    Ok(())
}

/// Every probe was handed, or not handed, to the IP layer.
pub fn probes_sent(events: &[Record], sent: bool) -> Result<()> {
    let mut probes = events.iter().filter(|event| event["event"] == "probe");
    probes.try_for_each(|probe| field(probe, "sent", sent))
}
