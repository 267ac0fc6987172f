//! The processes that were named as holders: who each is, whose child, and when that last changed.

use std::{collections::HashMap, sync::Arc};

use super::{choose::Identity, proc};
use crate::event::Process;

/// Processes remembered; past it everything is read anew.
const MOST: usize = 16_384;

/// A process as /proc shows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Clock ticks after boot: with the pid, an identity.
    pub start_ticks: u64,
    pub process: Process,
}

impl Known {
    pub fn identity(&self) -> Identity {
        Identity {
            pid: self.process.pid,
            start_ticks: self.start_ticks,
        }
    }
}

/// A moment among changes: later ones compare greater.
pub type Stamp = u64;

#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<u32, Known>,
    /// Processes that changed since they were last named, and when.
    changed: HashMap<u32, Stamp>,
    /// Children begun since the last pass, by parent, and the other way round.
    children: HashMap<u32, Vec<u32>>,
    parents: HashMap<u32, u32>,
    now: Stamp,
}

impl Processes {
    /// Who has this pid; read when first asked for. `watch` is called before the reading, so that
    /// no change goes unheard.
    pub fn get(&mut self, pid: u32, watch: impl FnOnce(u32) -> bool) -> Option<Known> {
        if let Some(known) = self.known.get(&pid) {
            return Some(known.clone());
        }
        let watched = watch(pid);
        let known = read(pid)?;
        // A process between two programs has no command line yet, and one that cannot be watched
        // may change unheard: both are read again next time.
        let settled = known
            .process
            .details
            .as_ref()
            .is_some_and(|details| details.cmdline.is_some());
        if watched && settled {
            self.known.insert(pid, known.clone());
        }
        Some(known)
    }

    /// What has changed up to now compares as no later than this.
    pub fn stamp(&self) -> Stamp {
        self.now
    }

    /// Nothing is known to have changed about this process since.
    pub fn is_unchanged(&self, pid: u32, since: Stamp) -> bool {
        self.now == since || self.changed.get(&pid).is_none_or(|at| *at <= since)
    }

    /// Too much was heard of to be remembered.
    pub fn is_full(&self) -> bool {
        self.known
            .len()
            .max(self.changed.len())
            .max(self.parents.len())
            > MOST
    }

    /// `child` began with the descriptors of `parent`.
    pub fn forked(&mut self, parent: u32, child: u32) {
        self.change(parent);
        self.change(child);
        self.known.remove(&child);
        self.parents.insert(child, parent);
        self.children.entry(parent).or_default().push(child);
    }

    /// It goes by another name, and mostly is another program.
    pub fn renamed(&mut self, pid: u32) {
        self.change(pid);
        self.known.remove(&pid);
    }

    /// It is no more.
    pub fn exited(&mut self, pid: u32) {
        self.change(pid);
        self.known.remove(&pid);
        if let Some(parent) = self.parents.remove(&pid)
            && let Some(children) = self.children.get_mut(&parent)
        {
            children.retain(|child| *child != pid);
        }
    }

    /// Children begun since the last pass, and theirs.
    pub fn descendants(&self, pid: u32) -> Vec<u32> {
        let mut found: Vec<u32> = self.children.get(&pid).cloned().unwrap_or_default();
        let mut at = 0;
        while let Some(child) = found.get(at) {
            let theirs = self.children.get(child).into_iter().flatten();
            // A pid that was reused could lead back to where it came from.
            let new: Vec<u32> = theirs.filter(|pid| !found.contains(pid)).copied().collect();
            found.extend(new);
            at += 1;
        }
        found
    }

    /// A pass begins, which sees every child there is.
    pub fn forget_children(&mut self) {
        self.children.clear();
        self.parents.clear();
    }

    fn change(&mut self, pid: u32) {
        self.now += 1;
        self.changed.insert(pid, self.now);
    }
}

fn read(pid: u32) -> Option<Known> {
    let identity = proc::identify(pid)?;
    Some(Known {
        start_ticks: identity.start_ticks,
        process: Process {
            pid,
            comm: identity.comm.into(),
            details: proc::details(pid, identity.ppid).map(Arc::new),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_change_to_what_was_known_before_it() {
        let mut processes = Processes::default();
        let before = processes.stamp();
        processes.renamed(7);
        let after = processes.stamp();
        processes.exited(8);
        assert!(!processes.is_unchanged(7, before));
        assert!(processes.is_unchanged(7, after));
        assert!(processes.is_unchanged(9, before));
        assert!(!processes.is_unchanged(8, after));
    }

    #[test]
    fn descendants_are_found_through_generations_and_circles() {
        let mut processes = Processes::default();
        processes.forked(1, 2);
        processes.forked(2, 3);
        processes.forked(3, 1);
        processes.forked(1, 4);
        let mut found = processes.descendants(1);
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 4]);
        processes.exited(4);
        assert!(!processes.descendants(1).contains(&4));
        processes.forget_children();
        assert!(processes.descendants(1).is_empty());
    }

    #[test]
    fn what_cannot_be_watched_is_not_remembered() {
        let mut processes = Processes::default();
        let own = std::process::id();
        let mut asked = 0;
        for _ in 0..2 {
            let known = processes.get(own, |_| {
                asked += 1;
                false
            });
            assert_eq!(known.unwrap().process.pid, own);
        }
        assert_eq!(asked, 2);
        processes.get(own, |_| true);
        processes.get(own, |_| panic!("it is known"));
        processes.renamed(own);
        let mut again = false;
        processes.get(own, |_| {
            again = true;
            true
        });
        assert!(again);
    }
}
