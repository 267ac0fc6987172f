//! The processes that were named as holders: who each is, and whose child.

use std::{collections::HashMap, sync::Arc};

use super::{identity::Known, proc};
use crate::{cache::Cache, event::Process};

/// Processes that are remembered.
const MOST: usize = 16_384;
/// At most this many descendants of one process are looked at.
const DESCENDANTS: usize = 1_024;

/// What was read of processes. An entry is removed when the kernel half reports a change of its process.
#[derive(Debug)]
pub struct Processes {
    known: Cache<u32, Known>,
    /// The parents of children that began since the last pass, by child.
    parents: Cache<u32, u32>,
    /// The same by parent.
    children: HashMap<u32, Vec<u32>>,
}

impl Default for Processes {
    fn default() -> Self {
        Self {
            known: Cache::new(MOST),
            parents: Cache::new(MOST),
            children: HashMap::new(),
        }
    }
}

impl Processes {
    /// The process with this pid; `None` if there is none. It is read when it is first asked for. `watch` is
    /// called before that, so that every later change is reported. It returns false if changes will not be
    /// reported; then the process is not kept.
    pub fn get(&mut self, pid: u32, watch: impl FnOnce(u32) -> bool) -> Option<Known> {
        if let Some(known) = self.known.get(&pid) {
            return Some(known.clone());
        }
        let watched = watch(pid);
        let known = read(pid)?;
        // A process in the middle of an exec has no command line yet: it is read again next time.
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

    /// `child` began with the descriptors of `parent`.
    pub fn forked(&mut self, parent: u32, child: u32) {
        self.known.remove(&child);
        self.remove_child(child);
        if let Some((forgotten, its_parent)) = self.parents.insert(child, parent) {
            self.unlink(its_parent, forgotten);
        }
        self.children.entry(parent).or_default().push(child);
    }

    /// The process has another name; mostly it runs another program.
    pub fn renamed(&mut self, pid: u32) {
        self.known.remove(&pid);
    }

    /// The process has ended.
    pub fn exited(&mut self, pid: u32) {
        self.known.remove(&pid);
        self.remove_child(pid);
    }

    /// The children of a process that began since the last pass, their children, and so on.
    pub fn descendants(&self, pid: u32) -> Vec<u32> {
        let mut found: Vec<u32> = self.children.get(&pid).cloned().unwrap_or_default();
        let mut at = 0;
        while let Some(child) = found.get(at) {
            let theirs = self.children.get(child).into_iter().flatten();
            // Pids are reused, so a process may seem to descend from its own child.
            let new: Vec<u32> = theirs.filter(|pid| !found.contains(pid)).copied().collect();
            found.extend(new);
            at += 1;
            if found.len() > DESCENDANTS {
                break;
            }
        }
        found
    }

    /// A pass begins. It reads the descriptors of every child that there is.
    pub fn forget_children(&mut self) {
        self.children.clear();
        self.parents.clear();
    }

    fn remove_child(&mut self, child: u32) {
        if let Some(parent) = self.parents.remove(&child) {
            self.unlink(parent, child);
        }
    }

    fn unlink(&mut self, parent: u32, child: u32) {
        if let Some(children) = self.children.get_mut(&parent) {
            children.retain(|other| *other != child);
            if children.is_empty() {
                self.children.remove(&parent);
            }
        }
    }
}

fn read(pid: u32) -> Option<Known> {
    let stat = proc::stat(pid)?;
    Some(Known {
        start_ticks: stat.start_ticks,
        process: Process {
            pid,
            comm: stat.comm.into(),
            details: proc::details(pid, stat.ppid).map(Arc::new),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn of_too_many_children_the_youngest_are_kept() {
        let mut processes = Processes::default();
        let most = MOST as u32;
        for child in 0..most + 2 {
            processes.forked(u32::MAX - child, child);
        }
        assert!(processes.descendants(u32::MAX).is_empty());
        assert!(processes.descendants(u32::MAX - 1).is_empty());
        assert_eq!(processes.descendants(u32::MAX - 2), [2]);
        assert_eq!(processes.children.len(), MOST);
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
