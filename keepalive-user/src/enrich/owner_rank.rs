//! Of the processes that hold a socket, the one to name, and what proves it. Pure.

use keepalive_ebpf::wire::Lineage;

use super::{
    identity::{Identity, Known},
    proc,
};
use crate::{
    decode::{Act, Evidence},
    event::OwnerFrom,
};

/// How many generations are followed back. For a more distant descendant the evidence is `scan`.
const GENERATIONS: usize = 8;

/// The processes that held the socket when it was last looked at.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// With the proof that was found then.
    pub holders: Vec<(Identity, Option<OwnerFrom>)>,
    /// The time of that look, `CLOCK_BOOTTIME` nanoseconds.
    pub at_ns: u64,
}

/// What is known of the socket beside its holders.
pub struct Hints<'a> {
    /// Who connected, accepted, received or closed it.
    pub evidence: Option<&'a Evidence>,
    /// Thread group id of the process that used the socket last.
    pub user: Option<u32>,
    /// Who held it at the last look.
    pub before: &'a Before,
    /// Where a process comes from, if that was seen.
    pub lineage: &'a dyn Fn(u32) -> Option<Lineage>,
}

/// Picks the holder that most likely uses the socket, and returns its index and the proof for each holder. It is
/// the first of these that exists: the process that used the socket last; the one that made it or received it;
/// a descendant of such a process; the oldest holder.
pub fn choose(holders: &[&Known], hints: &Hints<'_>) -> Option<(usize, Vec<Option<OwnerFrom>>)> {
    let proven: Vec<Option<OwnerFrom>> = holders.iter().map(|known| hints.proof(known)).collect();
    let used = hints
        .user
        .and_then(|user| holders.iter().position(|known| known.process.pid == user));
    let made = || {
        let evidence = hints
            .evidence
            .filter(|evidence| evidence.act != Act::Close)?;
        holders.iter().position(|known| known.is(evidence))
    };
    let oldest = |wanted: &dyn Fn(usize) -> bool| {
        (0..holders.len())
            .filter(|at| wanted(*at))
            .min_by_key(|at| (holders[*at].start_ticks, holders[*at].process.pid))
    };
    let chosen = used
        .or_else(made)
        .or_else(|| oldest(&|at| proven[at].is_some()))
        .or_else(|| oldest(&|_| true))?;
    Some((chosen, proven))
}

impl Known {
    /// The same process as the kernel half saw, not a later one with its pid.
    fn is(&self, evidence: &Evidence) -> bool {
        self.identity() == Identity::of(evidence)
    }
}

impl Hints<'_> {
    /// What proves how this holder got the socket.
    fn proof(&self, known: &Known) -> Option<OwnerFrom> {
        let made = self.evidence.and_then(|evidence| match evidence.act {
            _ if !known.is(evidence) => None,
            Act::Connect => Some(OwnerFrom::Connect),
            Act::Accept => Some(OwnerFrom::Accept),
            Act::Receive => Some(OwnerFrom::Passed),
            Act::Close => None,
        });
        made.or_else(|| self.held_before(known))
            .or_else(|| self.inherited(known).then_some(OwnerFrom::Inherited))
    }

    fn held_before(&self, known: &Known) -> Option<OwnerFrom> {
        let held = self.before.holders.iter();
        let (_, from) = held
            .copied()
            .find(|(identity, _)| *identity == known.identity())?;
        from
    }

    fn inherited(&self, known: &Known) -> bool {
        // A child that began before the socket was made, or before it was first looked up, did not inherit it.
        let maker = self
            .evidence
            .filter(|evidence| evidence.act != Act::Close)
            .is_some_and(|evidence| {
                self.descends(known, &[Identity::of(evidence)], evidence.since_ns)
            });
        let before: Vec<Identity> = self.before.holders.iter().map(|(held, _)| *held).collect();
        maker || self.descends(known, &before, self.before.at_ns)
    }

    /// Whether one of these processes started this one, or an ancestor of it, at this time or later.
    fn descends(&self, known: &Known, ancestors: &[Identity], since_ns: u64) -> bool {
        if ancestors.is_empty() {
            return false;
        }
        let mut child = known.identity();
        for _ in 0..GENERATIONS {
            let Some(lineage) = (self.lineage)(child.pid) else {
                return false;
            };
            // The entry is about an earlier process with this pid.
            if proc::ticks(lineage.start_ns) != child.start_ticks {
                return false;
            }
            let parent = Identity {
                pid: lineage.parent,
                start_ticks: proc::ticks(lineage.parent_start_ns),
            };
            if ancestors.contains(&parent) {
                return lineage.start_ns >= since_ns;
            }
            child = parent;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::event::Process;

    fn tick_ns() -> u64 {
        1_000_000_000 / rustix::param::clock_ticks_per_second()
    }

    fn known(pid: u32, start_ticks: u64) -> Known {
        Known {
            start_ticks,
            process: Process {
                pid,
                comm: "p".into(),
                details: None,
            },
        }
    }

    fn evidence(pid: u32, start_ticks: u64, since_ticks: u64, act: Act) -> Evidence {
        Evidence {
            pid,
            start_ns: start_ticks * tick_ns() + 5,
            since_ns: since_ticks * tick_ns(),
            comm: [0; 16],
            act,
        }
    }

    /// One row for each child: child, its start, parent, the parent's start (in ticks).
    fn lineages(rows: &[(u32, u64, u32, u64)]) -> HashMap<u32, Lineage> {
        let row = |(child, start, parent, parent_start): &(u32, u64, u32, u64)| {
            let lineage = Lineage {
                start_ns: start * tick_ns(),
                parent_start_ns: parent_start * tick_ns(),
                parent: *parent,
                reserved: 0,
            };
            (*child, lineage)
        };
        rows.iter().map(row).collect()
    }

    fn pick(
        holders: &[Known],
        evidence: Option<Evidence>,
        user: Option<u32>,
        before: &Before,
        family: &HashMap<u32, Lineage>,
    ) -> Option<(u32, Option<OwnerFrom>)> {
        let holders: Vec<&Known> = holders.iter().collect();
        let hints = Hints {
            evidence: evidence.as_ref(),
            user,
            before,
            lineage: &|pid| family.get(&pid).copied(),
        };
        choose(&holders, &hints).map(|(at, proven)| (holders[at].process.pid, proven[at]))
    }

    fn before(holders: &[(u32, u64, Option<OwnerFrom>)], at_ticks: u64) -> Before {
        let held = |(pid, start_ticks, from): &(u32, u64, Option<OwnerFrom>)| {
            let identity = Identity {
                pid: *pid,
                start_ticks: *start_ticks,
            };
            (identity, *from)
        };
        Before {
            holders: holders.iter().map(held).collect(),
            at_ns: at_ticks * tick_ns(),
        }
    }

    #[test]
    fn the_last_user_comes_first_then_the_maker_then_the_oldest() {
        let none = lineages(&[]);
        let both = [known(10, 100), known(20, 200)];
        let made = Some(evidence(20, 200, 300, Act::Connect));
        assert_eq!(
            pick(&both, made, Some(10), &Before::default(), &none),
            Some((10, None))
        );
        assert_eq!(
            pick(&both, made, None, &Before::default(), &none),
            Some((20, Some(OwnerFrom::Connect)))
        );
        assert_eq!(
            pick(&both, None, Some(99), &Before::default(), &none),
            Some((10, None))
        );
        assert_eq!(pick(&[], made, None, &Before::default(), &none), None);
    }

    #[test]
    fn a_child_inherits_only_what_was_there_when_it_began() {
        let child = [known(20, 200)];
        let born = lineages(&[(20, 200, 10, 100)]);
        let before = Some(evidence(10, 100, 150, Act::Connect));
        let after = Some(evidence(10, 100, 250, Act::Connect));
        assert_eq!(
            pick(&child, before, None, &Before::default(), &born),
            Some((20, Some(OwnerFrom::Inherited)))
        );
        assert_eq!(
            pick(&child, after, None, &Before::default(), &born),
            Some((20, None))
        );
    }

    #[test]
    fn a_grandchild_inherits_and_a_reused_pid_does_not() {
        let born = lineages(&[(30, 300, 20, 200), (20, 200, 10, 100)]);
        let made = Some(evidence(10, 100, 150, Act::Accept));
        assert_eq!(
            pick(&[known(30, 300)], made, None, &Before::default(), &born),
            Some((30, Some(OwnerFrom::Inherited)))
        );
        assert_eq!(
            pick(&[known(30, 999)], made, None, &Before::default(), &born),
            Some((30, None))
        );
        let other_maker = Some(evidence(10, 99, 150, Act::Accept));
        assert_eq!(
            pick(
                &[known(30, 300)],
                other_maker,
                None,
                &Before::default(),
                &born
            ),
            Some((30, None))
        );
    }

    #[test]
    fn without_a_maker_the_holder_seen_before_proves_it() {
        let born = lineages(&[(20, 200, 10, 100)]);
        let child = [known(20, 200)];
        let seen_first = before(&[(10, 100, None)], 150);
        assert_eq!(
            pick(&child, None, None, &seen_first, &born),
            Some((20, Some(OwnerFrom::Inherited)))
        );
        // The child was there before the socket was seen: it may have been given it.
        let seen_later = before(&[(10, 100, None)], 250);
        assert_eq!(
            pick(&child, None, None, &seen_later, &born),
            Some((20, None))
        );
    }

    #[test]
    fn what_proved_a_holder_once_goes_on_to() {
        let held = before(&[(20, 200, Some(OwnerFrom::Passed))], 150);
        let none = lineages(&[]);
        assert_eq!(
            pick(&[known(20, 200)], None, None, &held, &none),
            Some((20, Some(OwnerFrom::Passed)))
        );
        assert_eq!(
            pick(&[known(20, 201)], None, None, &held, &none),
            Some((20, None))
        );
    }

    #[test]
    fn a_receiver_is_the_one_it_was_passed_to() {
        let none = lineages(&[]);
        let both = [known(10, 100), known(20, 200)];
        let passed = Some(evidence(20, 200, 300, Act::Receive));
        assert_eq!(
            pick(&both, passed, None, &Before::default(), &none),
            Some((20, Some(OwnerFrom::Passed)))
        );
    }
}
