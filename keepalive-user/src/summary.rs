//! Counts of everything between the first record and the last.

use std::{collections::HashMap, sync::Arc};

use crate::{
    enrich::{Deaths, Unnoticed},
    event::{Cause, EventKind, Kind, Process, SocketEvent, Time},
};

/// Processes that have counts of their own; the events of further ones are counted together. Without
/// this bound, a host that forks a process per connection would fill the memory in a long run.
pub const PROCESSES_MAX: usize = 10_000;

/// The counts of a whole run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// All events.
    pub total: Counts,
    /// Records that the kernel half could not deliver.
    pub lost: u64,
    /// Records that arrived and could not be decoded.
    pub undecodable: u64,
    /// Sockets for which the kernel half had no room; the caller sets it.
    pub untracked: u64,
    /// How often the kernel skipped one of katrace's programs; `None` where it does not count that. The
    /// caller sets it.
    pub skipped: Option<u64>,
    /// Events whose socket had no known owner.
    pub unknown_owner: u64,
    /// Events that `--pid` or `--comm` left out although their owners could not be looked up in time; the
    /// caller sets it.
    pub undecided: u64,
    /// From the first hook attached to the last record, in milliseconds; the caller sets it.
    pub duration_ms: u64,
    /// Errors that processes received; `None` where nobody asked for them.
    pub noticed: Option<u64>,
    /// Deaths that no process has noticed, up to a bound.
    pub unnoticed: Vec<Late>,
    /// All deaths that no process has noticed.
    pub unnoticed_count: u64,
    /// Deaths of which it is not known whether they were noticed: there were too many at once, or the message
    /// about the end of the socket may have been lost.
    pub unfollowed: u64,
    /// Events of the processes beyond [`PROCESSES_MAX`].
    pub others: Counts,
    processes: HashMap<(u32, Arc<str>), Counts>,
}

/// A death that no process had noticed when the run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Late {
    /// The death.
    pub death: Unnoticed,
    /// From the death to the end of the run, in milliseconds.
    pub dead_ms: u64,
}

/// How many unnoticed deaths are listed.
const LATE_MAX: usize = 100;

/// How many events of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    kinds: [u64; EventKind::ALL.len()],
    timeouts: [u64; Cause::ALL.len()],
}

impl Counts {
    fn add(&mut self, kind: &Kind) {
        self.kinds[kind.event_kind() as usize] += 1;
        if let Kind::Timeout { cause, .. } = kind {
            self.timeouts[*cause as usize] += 1;
        }
    }

    /// Events of this kind.
    pub const fn of(&self, kind: EventKind) -> u64 {
        self.kinds[kind as usize]
    }

    /// Timeouts by cause, in the order of [`Cause::ALL`], zeros included.
    pub fn by_cause(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL
            .into_iter()
            .map(|cause| (cause, self.timeouts[cause as usize]))
    }
}

impl Summary {
    /// Counts one event.
    pub fn event(&mut self, event: &SocketEvent) {
        self.total.add(&event.kind);
        match event.process() {
            Some(process) => self.row(process).add(&event.kind),
            None => self.unknown_owner += 1,
        }
    }

    /// Copies what is known at this moment of deaths and of who noticed them.
    pub fn unnoticed(&mut self, deaths: &Deaths, now: Time) {
        self.noticed = Some(self.total.of(EventKind::Noticed));
        (self.unnoticed_count, self.unfollowed) = deaths.counts();
        self.unnoticed = deaths
            .unnoticed()
            .into_iter()
            .take(LATE_MAX)
            .map(|death| Late {
                dead_ms: u64::try_from((now.0 - death.died.0) / 1_000_000).unwrap_or(0),
                death: death.clone(),
            })
            .collect();
    }

    /// Counts records that never arrived.
    pub fn lost(&mut self, count: u64) {
        self.lost += count;
    }

    /// Counts records that could not be decoded.
    pub fn undecodable(&mut self, count: u64) {
        self.undecodable += count;
    }

    /// Every process with its counts: pid, name, counts. Sorted by timeouts and then by probes, the
    /// most first, then by pid. [`Summary::others`] is not among them.
    pub fn processes(&self) -> Vec<(u32, &str, &Counts)> {
        let mut rows: Vec<_> = self
            .processes
            .iter()
            .map(|((pid, comm), counts)| (*pid, comm.as_ref(), counts))
            .collect();
        rows.sort_by_key(|(pid, comm, counts)| {
            use std::cmp::Reverse;
            (
                Reverse(counts.of(EventKind::Timeout)),
                Reverse(counts.of(EventKind::Probe)),
                *pid,
                *comm,
            )
        });
        rows
    }

    fn row(&mut self, process: &Process) -> &mut Counts {
        let key = (process.pid, Arc::clone(&process.comm));
        if self.processes.len() >= PROCESSES_MAX && !self.processes.contains_key(&key) {
            return &mut self.others;
        }
        self.processes.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Errno, Owner, Time, example};

    fn event(pid: Option<u32>, kind: Kind) -> SocketEvent {
        SocketEvent {
            time: Time(0),
            socket: example::socket(None),
            owner: Arc::new(Owner {
                process: pid.map(example::process),
                ..Owner::default()
            }),
            kind,
        }
    }

    fn probe(pid: Option<u32>) -> SocketEvent {
        event(
            pid,
            Kind::Probe {
                probe: 1,
                sent: true,
            },
        )
    }

    #[test]
    fn counts_by_kind_cause_and_process() {
        let mut summary = Summary::default();
        summary.event(&probe(Some(7)));
        summary.event(&probe(None));
        for (cause, pid) in [(Cause::Keepalive, 9), (Cause::Other, 9)] {
            summary.event(&event(
                Some(pid),
                Kind::Timeout {
                    cause,
                    errno: Errno(110),
                    unanswered: 3,
                    retransmits: 0,
                },
            ));
        }
        summary.lost(5);
        summary.undecodable(2);
        let total = |kind| summary.total.of(kind);
        assert_eq!((total(EventKind::Probe), total(EventKind::Timeout)), (2, 2));
        assert_eq!(
            (summary.lost, summary.undecodable, summary.unknown_owner),
            (5, 2, 1)
        );
        let rows = summary.processes();
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [9, 7]);
        let causes: Vec<u64> = rows[0].2.by_cause().map(|(_, count)| count).collect();
        assert_eq!(causes, [1, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn memory_is_bounded_and_nothing_goes_uncounted() {
        let mut summary = Summary::default();
        let extra = 3;
        for pid in 0..(PROCESSES_MAX + extra) as u32 {
            summary.event(&probe(Some(pid)));
        }
        summary.event(&probe(Some(0)));
        assert_eq!(summary.processes().len(), PROCESSES_MAX);
        assert_eq!(summary.others.of(EventKind::Probe), extra as u64);
        assert_eq!(
            summary.total.of(EventKind::Probe),
            (PROCESSES_MAX + extra + 1) as u64
        );
    }

    #[test]
    fn a_cause_stands_at_its_own_index() {
        for (at, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, at);
        }
    }
}
