//! The owners that were found, and whether they can still be believed. Nothing here reads a file or asks the kernel.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    changes::{Changes, Stamp},
    owner_rank::Before,
};
use crate::{
    cache::Cache,
    decode::{Act, Decoded, Evidence},
    event::{Owner, Time},
};

/// What was found is looked at again after this long. A descriptor that is passed on while its sender closes
/// leaves the count of references as it was, and not every kernel and backend tells of it.
const FRESH: Duration = Duration::from_secs(10);
/// A little earlier it is looked at again without making the event wait.
const REFRESH: Duration = Duration::from_secs(8);
/// A death is the last event of its socket, so it gets a closer look.
const FRESH_AT_DEATH: Duration = Duration::from_millis(100);
/// Sockets that are remembered.
const MOST: usize = 65_536;

/// What was found of one socket.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `None`: nobody holds it.
    pub owner: Option<Arc<Owner>>,
    pub before: Before,
    /// The counts of references that this explains: a descriptor each, and calls under way.
    pub refs: RangeInclusive<u32>,
    /// Who acted on the socket when this was found.
    pub actor: Option<(u32, Act)>,
    /// Who had used it last when this was found.
    pub user: Option<u32>,
    /// Holders may be missing, and a pass will tell soon.
    pub is_partial: bool,
    /// It includes all changes up to this stamp.
    pub stamp: Stamp,
    /// The moment of the event that it was looked up for.
    pub looked: Time,
}

/// How far an entry can be believed for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// Nothing speaks against it.
    Valid,
    /// Nothing speaks against it, but it will soon be too old.
    Aging,
    /// Something speaks against it.
    Invalid,
}

impl Entry {
    /// How far this can be believed for an event of its socket.
    pub fn belief(&self, decoded: &Decoded, changes: &Changes) -> Belief {
        let is_death = decoded.kind.death().is_some();
        let age = decoded.time.0 - self.looked.0;
        let is_older_than = |limit: Duration| age >= limit.as_nanos().cast_signed();
        let is_unchanged = |pid| changes.is_unchanged(pid, self.stamp);
        if self.is_partial
            || !self.refs.contains(&decoded.refs)
            || self.actor != actor(decoded.evidence.as_ref())
            || self.user != decoded.user
            || is_older_than(if is_death { FRESH_AT_DEATH } else { FRESH })
            || !changes.reach_back_to(self.stamp)
            || !self
                .before
                .holders
                .iter()
                .all(|(holder, _)| is_unchanged(holder.pid))
        {
            Belief::Invalid
        } else if is_older_than(REFRESH) {
            Belief::Aging
        } else {
            Belief::Valid
        }
    }
}

/// Who acted, and how.
pub fn actor(evidence: Option<&Evidence>) -> Option<(u32, Act)> {
    evidence.map(|evidence| (evidence.pid, evidence.act))
}

/// Entries by the inode of their socket.
#[derive(Debug)]
pub struct OwnerCache(Cache<u64, Arc<Entry>>);

impl Default for OwnerCache {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl OwnerCache {
    /// What was found of a socket.
    pub fn get(&mut self, inode: u64) -> Option<&Arc<Entry>> {
        self.0.get(&inode)
    }

    /// Whether something was found of a socket.
    pub fn contains(&self, inode: u64) -> bool {
        self.0.contains(&inode)
    }

    /// Takes in what was found.
    pub fn insert(&mut self, inode: u64, entry: Entry) {
        self.0.insert(inode, Arc::new(entry));
    }

    /// The socket is gone.
    pub fn remove(&mut self, inode: u64) {
        self.0.remove(&inode);
    }

    /// Nothing can be believed any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
