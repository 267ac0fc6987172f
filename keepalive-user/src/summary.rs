//! What was seen between the first record and the last, counted as it passed.

use std::{collections::HashMap, sync::Arc};

use crate::{
    enrich::{Deaths, Unnoticed},
    event::{Cause, Kind, Process, SocketEvent, Time},
};

/// Processes told apart; the events of any further ones are counted together. A host that forks a
/// process per connection would otherwise fill memory in a long run.
pub const PROCESSES_MAX: usize = 10_000;

/// Counts over a whole run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub total: Counts,
    /// Records the kernel half could not deliver.
    pub lost: u64,
    /// Records that arrived but made no sense.
    pub undecodable: u64,
    /// Sockets the kernel half had no room to follow; the caller sets it.
    pub untracked: u64,
    /// Runs of its programs that the kernel skipped, `None` where it does not count them; the caller
    /// sets it.
    pub skipped: Option<u64>,
    /// Events whose socket had no known owner.
    pub unknown_owner: u64,
    /// From the first hook attached to the last record, in milliseconds; the caller sets it.
    pub duration_ms: u64,
    /// Errors that were received; `None` where that was not asked for.
    pub noticed: Option<u64>,
    pub unnoticed: Vec<Late>,
    /// All of them, also those too many to be kept.
    pub unnoticed_count: u64,
    /// Deaths too many to be followed.
    pub unfollowed: u64,
    /// Events of processes past [`PROCESSES_MAX`].
    pub others: Counts,
    processes: HashMap<(u32, Arc<str>), Counts>,
}

/// A death that no process has noticed by the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Late {
    pub death: Unnoticed,
    /// From the death to the end of the run, in milliseconds.
    pub dead_ms: u64,
}

/// Deaths that nobody noticed are listed up to this many.
const LATE_MAX: usize = 100;

/// Events by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub probes: u64,
    pub answered: u64,
    pub stalled: u64,
    pub resets: u64,
    pub noticed: u64,
    timeouts: [u64; Cause::ALL.len()],
}

impl Counts {
    fn add(&mut self, kind: &Kind) {
        match kind {
            Kind::Probe { .. } => self.probes += 1,
            Kind::Answered { .. } => self.answered += 1,
            Kind::Stalled { .. } => self.stalled += 1,
            Kind::Timeout { cause, .. } => self.timeouts[*cause as usize] += 1,
            Kind::Reset { .. } => self.resets += 1,
            Kind::Noticed { .. } => self.noticed += 1,
        }
    }

    /// Timeouts of every cause.
    pub fn timeouts(&self) -> u64 {
        self.timeouts.iter().sum()
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

    /// Takes in who noticed, and who has not by this moment.
    pub fn unnoticed(&mut self, deaths: &Deaths, now: Time) {
        self.noticed = Some(self.total.noticed);
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

    /// Counts records that could not be read.
    pub fn undecodable(&mut self, count: u64) {
        self.undecodable += count;
    }

    /// Every process with its counts, the one with most timeouts first, then most probes, then the
    /// lowest pid. [`Summary::others`] is not among them.
    pub fn processes(&self) -> Vec<(u32, &str, &Counts)> {
        let mut rows: Vec<_> = self
            .processes
            .iter()
            .map(|((pid, comm), counts)| (*pid, comm.as_ref(), counts))
            .collect();
        rows.sort_by_key(|(pid, comm, counts)| {
            use std::cmp::Reverse;
            (
                Reverse(counts.timeouts()),
                Reverse(counts.probes),
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
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::event::{Errno, Family, Owner, Settings, Socket, State, Time};

    fn event(pid: Option<u32>, kind: Kind) -> SocketEvent {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        SocketEvent {
            time: Time(0),
            socket: Socket {
                family: Family::Ipv4,
                laddr: nowhere,
                lport: 1,
                raddr: nowhere,
                rport: 1,
                state: State::Established,
                netns: 1,
                inode: None,
                settings: Settings {
                    keepidle_ms: 1,
                    keepintvl_ms: 1,
                    keepcnt: 1,
                    user_timeout_ms: 0,
                },
                silence_ms: None,
            },
            owner: Arc::new(Owner {
                process: pid.map(|pid| Process {
                    pid,
                    comm: "p".into(),
                    details: None,
                }),
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
        assert_eq!((summary.total.probes, summary.total.timeouts()), (2, 2));
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
        assert_eq!(summary.others.probes, extra as u64);
        assert_eq!(summary.total.probes, (PROCESSES_MAX + extra + 1) as u64);
    }

    #[test]
    fn causes_index_as_they_are_listed() {
        for (at, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, at);
        }
    }
}
