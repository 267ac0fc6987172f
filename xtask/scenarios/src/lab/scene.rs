//! One pair of namespaces under observation: its events, told apart by namespace, and the
//! kernel's counters since the observation began.

use std::{fmt, net::IpAddr, time::Instant};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Counters, Netns, Pair, Record, Sock, Tracer,
    time::{deadline, wait_until},
};

pub struct Scene<'a> {
    pub tracer: &'a Tracer,
    pub pair: &'a Pair,
    pub began: Timestamp,
    base: [Counters; 2],
}

impl<'a> Scene<'a> {
    pub fn open(tracer: &'a Tracer, pair: &'a Pair) -> Result<Self> {
        // A probe between the two readings would belong to neither side; they are microseconds
        // apart, and timers fire on ticks.
        let base = [Counters::of(&pair.ours)?, Counters::of(&pair.peer)?];
        Ok(Self {
            tracer,
            pair,
            base,
            began: Timestamp::now(),
        })
    }

    /// Events of a namespace since the scene opened, in order.
    pub fn events_in(&self, netns: &Netns) -> Vec<Record> {
        let mut events = self.tracer.records_in(netns.inode);
        events.retain(|event| event_time(event).is_ok_and(|at| at >= self.began));
        events
    }

    /// Events of one socket.
    pub fn events(&self, sock: &Sock) -> Vec<Record> {
        let mut events = self.events_in(&self.pair.ours);
        events.retain(|event| is_of(event, sock));
        events
    }

    /// Waits for the first event of this kind on the socket that `wanted` accepts.
    pub fn wait_for(
        &self,
        sock: &Sock,
        kind: &str,
        seconds: u64,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Record> {
        let mut found = None;
        wait_until(deadline(seconds), || {
            let mut events = self.events(sock).into_iter();
            found = events.find(|event| event["event"] == kind && wanted(event));
            found.is_some()
        });
        found.with_context(|| {
            format!(
                "no such `{kind}` of {} (pid {}, port {})",
                sock.comm, sock.pid, sock.local
            )
        })
    }

    /// Both equalities of both namespaces. The last events get time to arrive; none may follow.
    pub fn truth(&self) -> Result<()> {
        for (netns, base) in [
            (&self.pair.ours, self.base[0]),
            (&self.pair.peer, self.base[1]),
        ] {
            let mut balance = (Counters::default(), Counters::default());
            let mut equal = || -> Result<bool> {
                balance = (Counters::of(netns)?.since(base), self.shown(netns));
                Ok(balance.0 == balance.1)
            };
            let limit: Instant = deadline(0);
            wait_until(limit, || equal().unwrap_or(true));
            std::thread::sleep(std::time::Duration::from_millis(60));
            if !equal()? {
                let (kernel, shown) = balance;
                return Err(anyhow!(
                    "counters differ in netns {}: kernel {kernel:?}, katrace {shown:?}",
                    netns.inode
                ));
            }
        }
        Ok(())
    }

    fn shown(&self, netns: &Netns) -> Counters {
        let events = self.events_in(netns);
        let count = |kind| events.iter().filter(|event| event["event"] == kind).count() as u64;
        Counters {
            keepalive: count("probe"),
            aborts: count("timeout"),
        }
    }

    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let mut text = format!("{error:#}");
        let mut is_short = error.is::<Short>();
        for (whose, netns, base) in [
            ("ours", &self.pair.ours, self.base[0]),
            ("peer", &self.pair.peer, self.base[1]),
        ] {
            let counters = match Counters::of(netns) {
                Ok(now) => {
                    is_short |= now.since(base).exceeds(self.shown(netns));
                    format!("{now:?}")
                }
                Err(error) => error.to_string(),
            };
            text += &format!("\n{whose}: netns {} {counters}", netns.inode);
            for event in self.events_in(netns) {
                text += &format!("\n  {event}");
            }
        }
        if is_short {
            anyhow::Error::new(Short(text))
        } else {
            anyhow!(text)
        }
    }
}

/// A failure in a scene in which the kernel counted more than katrace showed.
#[derive(Debug)]
pub struct Short(String);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Short {}

fn is_of(event: &Value, sock: &Sock) -> bool {
    // An IPv4 address in an IPv6 socket is IPv4 on the wire, and so in the event.
    let remote: IpAddr = sock.remote.ip().to_canonical();
    event["lport"] == sock.local.port()
        && event["rport"] == sock.remote.port()
        && event["raddr"] == remote.to_string()
}

pub fn event_time(event: &Value) -> Result<Timestamp> {
    let text = event["time"]
        .as_str()
        .with_context(|| format!("no `time` in {event}"))?;
    text.parse()
        .with_context(|| format!("`time` is not RFC 3339: {text}"))
}
