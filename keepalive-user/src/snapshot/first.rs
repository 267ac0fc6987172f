//! The connections at the head of the kernel's table, which its iterator may pass over.
//!
//! Since 5.15 `tcp_seek_last_pos` (net/ipv4/tcp_ipv4.c) counts down within the bucket where it was.
//! When no listener is left it goes on into the table of connections with a count that is below zero
//! by then, and so over the whole of the first bucket that holds any, if that bucket has the number
//! of the last bucket of listeners: mostly 0. sock_diag walks the same table by other code.

use std::collections::HashSet;

use super::{
    diag::{Diag, Listed},
    facts::{Facts, Key},
};

/// Connections of each family that are looked at: far more than one bucket holds.
const MOST: usize = 64;

/// Connections that sock_diag told and the iterator has not shown yet.
pub struct First(HashSet<Key>);

/// The first connections of the calling thread's namespace. None where the kernel has no sock_diag:
/// then nothing is known of what the iterator passes over.
pub fn look(netns: u32) -> Vec<Listed> {
    Diag::first(netns, MOST).unwrap_or_default()
}

impl First {
    pub fn of(found: &[Listed]) -> Self {
        Self(found.iter().map(|listed| listed.facts.key()).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The iterator has shown it.
    pub fn shown(&mut self, facts: &Facts) {
        if !self.0.is_empty() {
            self.0.remove(&facts.key());
        }
    }

    /// What was there before the iterator began and is there after its end, yet was not shown.
    pub fn passed_over(self, after: Vec<Listed>) -> impl Iterator<Item = Listed> {
        after
            .into_iter()
            .filter(move |listed| self.0.contains(&listed.facts.key()))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::facts::tests::facts, *};

    fn at(port: u16) -> Facts {
        let mut facts = facts();
        facts.local.set_port(port);
        facts
    }

    fn listed(ports: &[u16]) -> Vec<Listed> {
        let of = |port: &u16| Listed {
            facts: at(*port),
            cgroup: None,
        };
        ports.iter().map(of).collect()
    }

    #[test]
    fn passed_over_is_what_stayed_and_was_not_shown() {
        let mut first = First::of(&listed(&[1, 2, 3, 5]));
        first.shown(&at(2));
        first.shown(&at(9));
        // 3 was closed meanwhile, 4 opened.
        let ports: Vec<u16> = first
            .passed_over(listed(&[5, 4, 2, 1]))
            .map(|listed| listed.facts.local.port())
            .collect();
        assert_eq!(ports, [5, 1]);
    }
}
