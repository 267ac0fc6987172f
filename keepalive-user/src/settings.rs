//! What the user asked for, after every value was checked.
//!
//! `cli` builds these types from the command line. The rest of the program reads them and knows
//! nothing of flags.

use std::{fmt, net::SocketAddr, ops::RangeInclusive, time::Duration};

use clap::ValueEnum;
use globset::GlobSet;
use ipnet::IpNet;

use crate::event::{Attach, EventKind, Family, Kind, Owner, Process};

/// Everything that decides how a trace runs.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// How to print.
    pub output: Format,
    /// Which kinds of event to print.
    pub events: Events,
    /// Which sockets to watch.
    pub filters: Filters,
    /// Stop after this long; `None` = until interrupted.
    pub duration: Option<Duration>,
    /// Stop after this many printed events, ≥ 1; `None` = until interrupted.
    pub count: Option<u64>,
    /// Which backend to use.
    pub attach: AttachChoice,
    /// Print the kernel half's own log on stderr.
    pub verbose: bool,
    /// Print on stderr what katrace itself costs.
    pub stats: bool,
    /// How descriptors are read.
    pub scan: Scan,
    /// Size of the ring buffer in bytes: a power of two, at least one page.
    pub ring_bytes: u32,
}

/// Which of this host's sockets to read, and how.
#[derive(Clone, Debug, Default)]
pub struct SnapshotSettings {
    /// Which sockets.
    pub filters: Filters,
    /// How.
    pub reader: ReaderChoice,
}

/// Everything that decides how sockets are listed.
#[derive(Clone, Debug)]
pub struct SocketsSettings {
    /// How to print.
    pub output: Format,
    /// What to read.
    pub read: SnapshotSettings,
    /// `None` = in the order in which the kernel reports them.
    pub sort: Option<SortBy>,
    /// Only sockets with unanswered probes.
    pub dying: bool,
    /// Only sockets whose keepalive is known to be off.
    pub no_keepalive: bool,
    /// Pause between two listings; `None` = list once.
    pub watch: Option<Duration>,
}

/// The column by which a listing is sorted. Equal rows stay in the kernel's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    /// TCP state, by its name.
    State,
    /// This host's address and port.
    Local,
    /// The peer's address and port.
    Peer,
    /// The owner's pid.
    Pid,
    /// The owner's name.
    Comm,
    /// Inode of the network namespace.
    Netns,
    /// TCP_KEEPIDLE, the lowest first.
    Idle,
    /// TCP_USER_TIMEOUT, the lowest first.
    UserTimeout,
    /// Time until the next probe, the soonest first.
    NextProbe,
    /// Time to notice a dead peer on an idle connection, the soonest first.
    DetectIdle,
    /// Time to notice a dead peer while data is in flight, the soonest first.
    DetectData,
    /// Unanswered probes, the highest first.
    Unanswered,
    /// Time since the peer was last heard, the longest first.
    Silence,
    /// Bytes that the peer has not acknowledged, the highest first.
    Unacked,
}

/// Which way to read sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReaderChoice {
    /// The BPF iterator where the kernel allows it, otherwise sock_diag.
    #[default]
    Auto,
    /// A BPF iterator over the kernel's own socket table.
    Iter,
    /// sock_diag for the list, and `getsockopt` on a holder's descriptor for the settings.
    Diag,
}

/// How records are written to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned lines for people.
    Table,
    /// One JSON object a line.
    Json,
    /// The same objects, indented.
    #[value(name = "jsonpretty")]
    JsonPretty,
    /// One header row, then one row an event.
    Csv,
}

/// Which backend to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachChoice {
    /// The first one that this kernel accepts.
    Auto,
    /// This one; katrace ends if the kernel refuses it.
    Only(Attach),
}

/// How to read who holds which descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scan {
    /// With a BPF iterator where the kernel allows it, otherwise from /proc.
    Auto,
    /// With a BPF iterator (`iter/task_file`); katrace ends if the kernel refuses it.
    Iter,
    /// From /proc.
    Proc,
}

/// The kinds of event to print: a set of [`EventKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// The bit `1 << (kind as u32)` of each kind in the set.
    kinds: u32,
    /// Print `answered` only after at least this many unanswered probes. Answers to a first probe are
    /// common on every live connection, so they are printed only where `-e` asks for them.
    pub answered_min: u32,
}

impl Events {
    /// No kind at all.
    pub const NONE: Self = Self {
        kinds: 0,
        answered_min: 1,
    };

    /// Every kind, and every answer.
    pub const ALL: Self = {
        let (mut all, mut at) = (Self::NONE, 0);
        while at < EventKind::ALL.len() {
            all = all.with(EventKind::ALL[at]);
            at += 1;
        }
        all
    };

    /// The same set with this kind in it.
    #[must_use]
    pub const fn with(self, kind: EventKind) -> Self {
        Self {
            kinds: self.kinds | 1 << (kind as u32),
            ..self
        }
    }

    /// Whether this kind is in the set.
    pub const fn has(self, kind: EventKind) -> bool {
        self.kinds & (1 << (kind as u32)) != 0
    }

    /// Whether this event is to be printed.
    pub const fn wants(&self, event: &Kind) -> bool {
        self.has(event.event_kind())
            && match event {
                Kind::Answered { unanswered, .. } => *unanswered >= self.answered_min,
                _ => true,
            }
    }

    /// The kinds that the kernel half must report: those to print, and the deaths that some of them
    /// are about.
    pub fn needed(self) -> impl Iterator<Item = EventKind> {
        let printed = move |kind: EventKind| self.has(kind);
        let needs_deaths = EventKind::ALL
            .iter()
            .any(|kind| printed(*kind) && kind.facts().needs_deaths);
        let kinds = EventKind::ALL.iter().copied();
        kinds.filter(move |kind| printed(*kind) || needs_deaths && kind.facts().is_death)
    }
}

impl Default for Events {
    /// Every kind that is printed by default; answers only after a probe was lost.
    fn default() -> Self {
        let kinds = EventKind::ALL.iter().copied();
        kinds.filter(|kind| kind.facts().is_default).fold(
            Self {
                answered_min: 2,
                ..Self::NONE
            },
            Self::with,
        )
    }
}

/// Which sockets to report. An empty list or `None` does not filter.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// Thread group ids in katrace's own pid namespace.
    pub pids: Vec<u32>,
    /// Patterns for the name of a process that holds the socket.
    pub comms: Option<CommGlobs>,
    /// This host's port is in one of these ranges.
    pub lports: Vec<RangeInclusive<u16>>,
    /// The peer's port is in one of these ranges.
    pub rports: Vec<RangeInclusive<u16>>,
    /// One of the two addresses is in one of these networks. Host bits are zero; a v4-mapped network
    /// is stored as IPv4.
    pub nets: Vec<IpNet>,
    /// The protocol of the packets.
    pub family: Option<Family>,
    /// Inode of the network namespace.
    pub netns: Option<u32>,
    /// Id of a cgroup2 directory: its inode number.
    pub cgroup: Option<u64>,
}

impl Filters {
    /// Whether a socket with this owner passes `--pid` and `--comm`.
    pub fn want_owner(&self, owner: &Owner) -> bool {
        let any = |wanted: &dyn Fn(&Process) -> bool| {
            let holders = owner.holders.iter().map(|holder| &holder.process);
            owner.process.iter().chain(holders).any(wanted)
        };
        // One holder may match `--pid` and another one `--comm`, as when tracing.
        (self.pids.is_empty() || any(&|process| self.pids.contains(&process.pid)))
            && self
                .comms
                .as_ref()
                .is_none_or(|globs| any(&|process| globs.is_match(&process.comm)))
    }

    /// Whether a socket with these ends passes the filters on family, ports and addresses.
    pub fn want_ends(&self, family: Family, local: SocketAddr, peer: SocketAddr) -> bool {
        let port = |ranges: &[RangeInclusive<u16>], port: u16| {
            ranges.is_empty() || ranges.iter().any(|range| range.contains(&port))
        };
        let within = |net: &IpNet| net.contains(&local.ip()) || net.contains(&peer.ip());
        self.family.is_none_or(|wanted| wanted == family)
            && port(&self.lports, local.port())
            && port(&self.rports, peer.port())
            && (self.nets.is_empty() || self.nets.iter().any(within))
    }
}

/// The patterns of `--comm`. A name passes if one of them matches all of it.
#[derive(Clone)]
pub struct CommGlobs {
    set: GlobSet,
    patterns: Vec<String>,
}

impl CommGlobs {
    pub(crate) fn new(set: GlobSet, patterns: Vec<String>) -> Self {
        Self { set, patterns }
    }

    /// Whether any pattern matches this process name.
    pub fn is_match(&self, comm: &str) -> bool {
        self.set.is_match(comm)
    }
}

impl fmt::Debug for CommGlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommGlobs").field(&self.patterns).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_hides_the_answer_to_a_first_probe() {
        let first = Kind::Answered {
            unanswered: 1,
            rtt_ms: Some(0.4),
        };
        let second = Kind::Answered {
            unanswered: 2,
            rtt_ms: None,
        };
        assert!(!Events::default().wants(&first));
        assert!(Events::default().wants(&second));
        assert!(Events::ALL.wants(&first));
        assert!(!Events::NONE.wants(&second));
        assert!(Events::NONE.with(EventKind::Answered).wants(&first));
        assert!(!Events::NONE.with(EventKind::Probe).wants(&first));
    }

    #[test]
    fn who_asks_for_errors_noticed_needs_the_deaths_too() {
        let needed = |events: Events| events.needed().collect::<Vec<_>>();
        assert_eq!(needed(Events::NONE), []);
        assert_eq!(needed(Events::ALL), EventKind::ALL);
        assert_eq!(
            needed(Events::NONE.with(EventKind::Probe)),
            [EventKind::Probe]
        );
        assert_eq!(
            needed(Events::NONE.with(EventKind::Noticed)),
            [EventKind::Timeout, EventKind::Reset, EventKind::Noticed]
        );
    }

    #[test]
    fn sockets_are_chosen_by_their_ends_and_holders() {
        let ends = |filters: &Filters, local: &str, peer: &str| {
            filters.want_ends(Family::Ipv4, local.parse().unwrap(), peer.parse().unwrap())
        };
        let (local, peer) = ("198.18.0.1:40000", "198.18.0.2:5432");
        assert!(ends(&Filters::default(), local, peer));
        let mut filters = Filters {
            rports: vec![5432..=5432],
            nets: vec!["198.18.0.2/32".parse().unwrap()],
            ..Filters::default()
        };
        assert!(ends(&filters, local, peer));
        assert!(!ends(&filters, local, "198.18.0.2:5433"));
        assert!(!ends(&filters, local, "198.18.0.3:5432"));
        filters.family = Some(Family::Ipv6);
        assert!(!ends(&filters, local, peer));

        let nobody = Owner::default();
        assert!(Filters::default().want_owner(&nobody));
        let filters = Filters {
            pids: vec![7],
            ..Filters::default()
        };
        assert!(!filters.want_owner(&nobody));
        let process = Process {
            details: None,
            pid: 7,
            comm: "nginx".into(),
        };
        let someone = Owner {
            process: Some(process),
            ..Owner::default()
        };
        assert!(filters.want_owner(&someone));
    }
}
