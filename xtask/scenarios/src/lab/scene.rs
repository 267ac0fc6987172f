//! One pair of namespaces under observation: its events, told apart by namespace, and the
//! kernel's counters since the observation began.

use std::{net::IpAddr, thread::sleep, time::Duration};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Control, Counters, Netns, Pair, Record, Sock, Tracer,
    account::{self, Counts, Due, MissedEvents, RetryReason},
    control::Softirqs,
    time::{deadline, wait_until},
};

pub struct Scene<'a> {
    pub tracer: &'a Tracer,
    pub pair: &'a Pair,
    pub began: Timestamp,
    /// Of our namespace and the peer's.
    base: [Counts; 2],
    softirqs: Option<Softirqs>,
}

impl<'a> Scene<'a> {
    pub fn open(tracer: &'a Tracer, pair: &'a Pair) -> Result<Self> {
        // A probe between the two readings would belong to neither side; they are microseconds
        // apart, and timers fire on ticks.
        let control = tracer.control.as_deref();
        let base = [
            Counts::of(&pair.ours, control)?,
            Counts::of(&pair.peer, control)?,
        ];
        Ok(Self {
            tracer,
            pair,
            base,
            softirqs: control.map(Control::softirqs).transpose()?,
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
    ///
    /// # Errors
    ///
    /// [`MissedEvents`] where none came in time.
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
        found.ok_or_else(|| {
            anyhow::Error::new(MissedEvents(format!(
                "no such `{kind}` of {} (pid {}, port {})",
                sock.comm, sock.pid, sock.local
            )))
        })
    }

    /// Waits until katrace has shown what was visible of both namespaces; nothing more may follow.
    ///
    /// # Errors
    ///
    /// katrace showed more or less: see [`Due::judge`].
    pub fn truth(&self) -> Result<()> {
        let judge = || -> Result<Counters> {
            let mut hidden = Counters::default();
            for (netns, (due, shown)) in self.netns().into_iter().zip(self.accounts()?) {
                let found = due.judge(shown);
                hidden += found.with_context(|| format!("netns {}", netns.inode))?;
            }
            Ok(hidden)
        };
        // The last events get time to arrive. What is shown and was not visible stays wrong.
        wait_until(deadline(0), || judge().is_ok());
        sleep(Duration::from_millis(60));
        wait_until(deadline(0), || judge().is_ok());
        let hidden = judge()?;
        if hidden.total() > 0 {
            println!("  the kernel ran no program for {hidden}");
        }
        Ok(())
    }

    fn netns(&self) -> [&Netns; 2] {
        [&self.pair.ours, &self.pair.peer]
    }

    /// Of both namespaces: what was due since the scene opened, and what katrace showed.
    fn accounts(&self) -> Result<Vec<(Due, Counters)>> {
        let control = self.tracer.control.as_deref();
        let of = |(netns, base): (&Netns, Counts)| {
            let due = Counts::of(netns, control)?.since(base);
            Ok((due, self.shown(netns)))
        };
        self.netns().into_iter().zip(self.base).map(of).collect()
    }

    fn shown(&self, netns: &Netns) -> Counters {
        let events = self.events_in(netns);
        let count = |kind| events.iter().filter(|event| event["event"] == kind).count() as u64;
        Counters {
            keepalive: count("probe"),
            aborts: count("timeout"),
        }
    }

    /// Timer softirqs since the scene opened in which the kernel ran no program; 0 where no control counts them.
    fn hidden_softirqs(&self) -> u64 {
        let now = self.tracer.control.as_deref().map(Control::softirqs);
        let now = now.and_then(Result::ok);
        now.zip(self.softirqs)
            .map_or(0, |(now, base)| now.hidden_since(base))
    }

    fn describe(&self, text: &mut String) {
        let names = ["ours", "peer"].into_iter().zip(self.netns());
        let accounts = self.accounts().unwrap_or_default();
        for ((whose, netns), (due, shown)) in names.zip(accounts) {
            *text += &format!(
                "\n{whose}: netns {}: kernel {}; visible {}; katrace {shown}",
                netns.inode, due.kernel, due.visible
            );
            for event in self.events_in(netns) {
                *text += &format!("\n  {event}");
            }
        }
    }
}

/// Adds what was seen in these scenes to an error. The result is a [`RetryReason`] where the host may be to blame.
pub fn explain(scenes: &[&Scene], error: anyhow::Error) -> anyhow::Error {
    let mut may_be_hidden = false;
    if error.is::<MissedEvents>() {
        let mut judge = || {
            let accounts = scenes.iter().map(|scene| scene.accounts());
            let accounts: Result<Vec<_>> = accounts.collect();
            let softirqs = scenes.iter().map(|scene| scene.hidden_softirqs()).max();
            may_be_hidden = accounts.is_ok_and(|accounts| {
                account::may_be_hidden(&error, &accounts.concat(), softirqs.unwrap_or(0))
            });
            may_be_hidden
        };
        // An event that comes late is late in both counts for a moment.
        if scenes.iter().any(|scene| scene.tracer.control.is_some()) {
            wait_until(deadline(0), &mut judge);
        }
    }
    let mut text = format!("{error:#}");
    for scene in scenes {
        scene.describe(&mut text);
    }
    if may_be_hidden {
        anyhow::Error::new(RetryReason(text))
    } else {
        anyhow!(text)
    }
}

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
