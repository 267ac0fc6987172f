//! What the audit's scenarios share: a pair of namespaces with sockets in it, and the shape of a finding.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::check::{field, number};
use crate::{
    lab::{
        Actor, Katrace, Pair, Sock,
        pair::PEER4,
        time::{deadline, wait_until},
    },
    protocol::Keepalive,
};

const PORT: u16 = 7010;
/// Where the peer listens.
pub const TO: SocketAddr = SocketAddr::new(PEER4, PORT);

/// A pair with a listening peer.
pub struct Bench<'a> {
    pub katrace: &'a Katrace,
    pub pair: Pair,
    _listener: TcpListener,
}

impl<'a> Bench<'a> {
    pub fn new(katrace: &'a Katrace) -> Result<Self> {
        let pair = Pair::new()?;
        let listener = pair.listen(PORT)?;
        Ok(Self {
            katrace,
            pair,
            _listener: listener,
        })
    }

    pub fn client(&self, name: &str, keepalive: Option<Keepalive>) -> Result<(Actor, Sock)> {
        let mut actor = Actor::start(&self.pair.ours, name)?;
        let sock = actor.connect(TO, keepalive)?;
        Ok((actor, sock))
    }

    /// The findings about our namespace.
    pub fn audit(&self, args: &[&str]) -> Result<Vec<Value>> {
        self.katrace.audit(&self.pair.ours, args)
    }

    /// Waits until the rule has a finding on this socket.
    pub fn until(&self, rule: &str, sock: &Sock) -> Result<Value> {
        let mut all = Vec::new();
        let mut found = None;
        wait_until(deadline(10), || {
            all = self
                .audit(&[])
                .unwrap_or_else(|error| vec![error.to_string().into()]);
            let of = |one: &&Value| one["rule"] == rule && one["pid"] == sock.pid;
            found = all.iter().find(of).cloned();
            found.is_some()
        });
        let finding = found.with_context(|| format!("no {rule} in {all:?}"))?;
        complete(&finding, sock)?;
        Ok(finding)
    }
}

/// Every field of the contract, and the socket among the examples.
pub fn complete(finding: &Value, sock: &Sock) -> Result<()> {
    field(finding, "pid", sock.pid)?;
    field(finding, "comm", sock.comm.as_str())?;
    ensure!(number(finding, "sockets")? >= 1);
    let numbers = finding["evidence"]
        .as_object()
        .context("`evidence` is no object")?;
    ensure!(
        !numbers.is_empty()
            && numbers
                .values()
                .all(|value| value.is_number() || value.is_null()),
        "`evidence` holds other things than numbers: {finding}"
    );
    ensure!(
        finding["why"]
            .as_str()
            .is_some_and(|why| why.ends_with('.'))
    );
    ensure!(
        finding["fix"]
            .as_array()
            .is_some_and(|lines| !lines.is_empty())
    );
    let examples = finding["examples"]
        .as_array()
        .context("`examples` is no list")?;
    ensure!(
        examples
            .iter()
            .any(|one| one["lport"] == sock.local.port() && one["rport"] == sock.remote.port()),
        "{} is not among the examples of {finding}",
        sock.local
    );
    Ok(())
}
