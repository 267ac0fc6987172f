//! Sockets to processes.
//!
//! The kernel half knows who connected, accepted, received or closed; descriptor tables know who
//! holds. What was found of a socket is believed until something speaks against it: another count of
//! references to its file, another actor, a change of a holder that the kernel half tells, or age. A
//! pass over all descriptors serves every unknown socket at once, and its rate is bounded by what it
//! costs. docs/attribution.md has the rules.

mod calls;
pub(crate) mod cgroup;
mod choose;
mod deaths;
mod descriptors;
mod directory;
mod holders;
mod proc;
mod processes;
mod table;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use self::holders::{Found, Holders};
pub use self::{
    deaths::{Deaths, Unnoticed},
    directory::Directory,
    proc::pids,
};
use crate::{
    decode::{self, Act, Decoded, Evidence, Notice},
    event::{Holder, Owner, OwnerFrom, Process, SocketEvent},
    settings::Filters,
    source::ProcessTables,
};

/// What became of an event.
#[derive(Debug)]
pub enum Outcome {
    /// It has its owner, as far as that can be known.
    Event(SocketEvent),
    /// `--pid` or `--comm` does not want it.
    Unwanted,
    /// Its socket is unknown, and the next pass may run only at this moment.
    Wait(Decoded, Instant),
}

/// Names the owners of sockets.
pub struct Enricher {
    filters: Filters,
    holders: Holders,
}

impl Enricher {
    /// `memory` is the kernel half's, where there is one.
    pub fn new(filters: &Filters, memory: Option<ProcessTables>) -> Self {
        Self {
            filters: filters.clone(),
            holders: Holders::new(memory),
        }
    }

    /// Reads the descriptors of every process, calling `each` for every descriptor.
    pub fn pass(&mut self, each: &mut dyn FnMut()) {
        self.holders.pass(each);
    }

    /// Takes in a change among holders.
    pub fn notice(&mut self, notice: &Notice) {
        self.holders.notice(notice);
    }

    /// Notices were lost: nothing that is remembered can be trusted.
    pub fn forget(&mut self) {
        self.holders.forget();
    }

    /// Finds the event's owner.
    pub fn enrich(&mut self, decoded: Decoded) -> Outcome {
        match self.owner(&decoded, false) {
            Ok(owner) => self.deliver(decoded, owner),
            Err(next) => Outcome::Wait(decoded, next),
        }
    }

    /// Finds the event's owner from what is known by now, without waiting for more.
    pub fn enrich_now(&mut self, decoded: Decoded) -> Outcome {
        let owner = match self.owner(&decoded, true) {
            Ok(owner) => owner,
            Err(_) => Arc::new(by_evidence(decoded.evidence.as_ref())),
        };
        self.deliver(decoded, owner)
    }

    fn deliver(&self, decoded: Decoded, owner: Arc<Owner>) -> Outcome {
        let Decoded {
            time, socket, kind, ..
        } = decoded;
        if !self.filters.want_owner(&owner) {
            return Outcome::Unwanted;
        }
        Outcome::Event(SocketEvent {
            time,
            socket,
            owner,
            kind,
        })
    }

    /// The owner, or when the next pass may tell.
    fn owner(&mut self, decoded: &Decoded, at_once: bool) -> Result<Arc<Owner>, Instant> {
        // Not accepted yet: no process has it.
        let Some(inode) = decoded.socket.inode else {
            return Ok(Arc::default());
        };
        if decoded.orphan {
            return Ok(Arc::new(self.last_owner(inode, decoded)));
        }
        let evidence = decoded.evidence.as_ref();
        // No file, and so no descriptor: the kernel's own.
        if decoded.refs == 0 {
            return Ok(Arc::new(by_evidence(evidence)));
        }
        match self.holders.of(inode, decoded, at_once)? {
            Found::Owner(owner) => Ok(owner),
            Found::Nobody => Ok(Arc::new(by_evidence(evidence))),
        }
    }

    /// Nobody holds it any more: who closed it, else the last that is known to have held it.
    fn last_owner(&mut self, inode: u64, decoded: &Decoded) -> Owner {
        let evidence = decoded.evidence.as_ref();
        let process = match evidence {
            Some(closed) if closed.act == Act::Close => Some(process(closed)),
            Some(_) | None => self.holders.last(inode).or_else(|| evidence.map(process)),
        };
        let from = process.as_ref().map(|_| OwnerFrom::Last);
        Owner {
            process,
            holders: Vec::new(),
            from,
        }
    }
}

/// The task that the kernel half saw, when no descriptor shows the socket: it exited meanwhile, or
/// hides its descriptors.
fn by_evidence(evidence: Option<&Evidence>) -> Owner {
    let Some(evidence) = evidence else {
        return Owner::default();
    };
    let process = process(evidence);
    let from = match evidence.act {
        Act::Connect => OwnerFrom::Connect,
        Act::Accept => OwnerFrom::Accept,
        Act::Receive => OwnerFrom::Passed,
        Act::Close => OwnerFrom::Last,
    };
    let holders = match evidence.act {
        Act::Connect | Act::Accept | Act::Receive => vec![Holder {
            process: process.clone(),
            fd: None,
        }],
        Act::Close => Vec::new(),
    };
    Owner {
        process: Some(process),
        holders,
        from: Some(from),
    }
}

fn process(evidence: &Evidence) -> Process {
    Process {
        pid: evidence.pid,
        comm: decode::name(&evidence.comm),
        details: None,
    }
}
