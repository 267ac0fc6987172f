//! When a process last changed: it forked, got another name, or ended.

use crate::cache::Cache;

/// Changed processes that are remembered.
const MOST: usize = 16_384;

/// A moment among changes: later moments compare greater.
pub type Stamp = u64;

/// The changes that the kernel half told of.
#[derive(Debug)]
pub struct Changes {
    /// The last change of a process, the oldest change first.
    changed: Cache<u32, Stamp>,
    /// For a moment before this one, it is no longer known which processes have changed since.
    floor: Stamp,
    now: Stamp,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            changed: Cache::new(MOST),
            floor: 0,
            now: 0,
        }
    }
}

impl Changes {
    /// The stamp of this moment. Every change so far has this stamp or an earlier one.
    pub fn stamp(&self) -> Stamp {
        self.now
    }

    /// The process changes now.
    pub fn change(&mut self, pid: u32) {
        self.now += 1;
        if let Some((_, forgotten)) = self.changed.insert(pid, self.now) {
            self.floor = self.floor.max(forgotten);
        }
    }

    /// Whether every change since that moment is still known.
    pub fn reach_back_to(&self, since: Stamp) -> bool {
        since >= self.floor
    }

    /// Whether the process is known not to have changed since that moment.
    pub fn is_unchanged(&self, pid: u32, since: Stamp) -> bool {
        self.reach_back_to(since) && self.changed.peek(&pid).is_none_or(|at| *at <= since)
    }

    /// Changes were lost: any process may have changed by now.
    pub fn forget(&mut self) {
        self.now += 1;
        self.floor = self.now;
        self.changed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_against_what_was_known_before_it() {
        let mut changes = Changes::default();
        let before = changes.stamp();
        changes.change(7);
        let after = changes.stamp();
        changes.change(8);
        assert!(!changes.is_unchanged(7, before));
        assert!(changes.is_unchanged(7, after));
        assert!(changes.is_unchanged(9, before));
        assert!(!changes.is_unchanged(8, after));
    }

    #[test]
    fn a_change_that_is_forgotten_counts_for_every_process() {
        let mut changes = Changes::default();
        let before = changes.stamp();
        changes.change(0);
        let between = changes.stamp();
        for pid in 1..=MOST as u32 {
            changes.change(pid);
        }
        // The change of process 0 is forgotten. So it is no longer known which processes changed since `before`.
        assert!(!changes.is_unchanged(0, before));
        assert!(!changes.is_unchanged(99_999, before));
        assert!(changes.is_unchanged(0, between));
        assert!(!changes.is_unchanged(1, between));
    }

    #[test]
    fn after_a_loss_nothing_before_it_is_trusted() {
        let mut changes = Changes::default();
        changes.change(7);
        let before = changes.stamp();
        changes.forget();
        assert!(!changes.is_unchanged(9, before));
        assert!(!changes.reach_back_to(before));
        let after = changes.stamp();
        assert!(changes.is_unchanged(9, after));
        changes.change(9);
        assert!(!changes.is_unchanged(9, after));
    }
}
