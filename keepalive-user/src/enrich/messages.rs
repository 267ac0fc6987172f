//! What the event loop and the worker thread tell each other.

use std::sync::Arc;

use super::{calls::Ranges, changes::Stamp, owner_cache::Entry};
use crate::{
    decode::{Decoded, Evidence, Notice},
    event::{Process, Time},
};

/// From the event loop. The worker takes them in this order.
#[derive(Debug)]
pub enum Message {
    /// A process changed.
    Changed(Notice),
    /// Who holds a socket?
    Owner(Box<Request>),
    /// Which process held the socket with this inode last?
    Last(u64),
}

/// A question about the holders of a socket, with what its event said.
#[derive(Debug)]
pub struct Request {
    pub inode: u64,
    /// References to its file.
    pub refs: u32,
    pub evidence: Option<Evidence>,
    /// Thread group id that used it last.
    pub user: Option<u32>,
    /// The moment of the event, `CLOCK_MONOTONIC` nanoseconds.
    pub monotonic_ns: u64,
    /// The same moment.
    pub time: Time,
    /// All changes up to this stamp were reported before this was asked.
    pub stamp: Stamp,
    /// What was found of the socket before.
    pub earlier: Option<Arc<Entry>>,
}

impl Request {
    /// The question that an event asks.
    pub fn of(inode: u64, decoded: &Decoded, stamp: Stamp, earlier: Option<Arc<Entry>>) -> Self {
        Self {
            inode,
            refs: decoded.refs,
            evidence: decoded.evidence,
            user: decoded.user,
            monotonic_ns: decoded.monotonic_ns,
            time: decoded.time,
            stamp,
            earlier,
        }
    }
}

/// From the worker.
#[derive(Debug)]
pub enum Answer {
    /// The first pass is done.
    Passed,
    /// Who holds a socket.
    Owner {
        /// The socket.
        inode: u64,
        /// What was found of it.
        entry: Entry,
        /// Whether more is to come.
        stage: Stage,
    },
    /// Who held it last, as far as it is known.
    Last {
        /// The socket.
        inode: u64,
        /// `None`: that is not known.
        process: Option<Process>,
    },
    /// Where the functions are that stand for calls.
    Calls(Ranges),
}

/// How far a look-up has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Everything was looked at.
    Done,
    /// A pass is needed, and soon made. Until then this serves whatever cannot wait.
    PassComes,
    /// A pass is needed, but too far off to wait for it. Until then this is believed.
    PassIsFarOff,
}
