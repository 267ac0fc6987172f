//! What the user asked for, validated: the command line's meaning, free of its spelling.
//!
//! `cli` builds these types; the rest of the program reads them and never sees a flag.

use std::{fmt, net::SocketAddr, ops::RangeInclusive, time::Duration};

use globset::GlobSet;
use ipnet::IpNet;

use crate::event::{Attach, Family, Kind, Owner, Process};

/// Everything that decides how a trace runs.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    pub output: Format,
    pub events: Events,
    pub filters: Filters,
    /// Stop after this long; `None` = until interrupted.
    pub duration: Option<Duration>,
    /// Stop after this many printed events, ≥ 1; `None` = until interrupted.
    pub count: Option<u64>,
    pub attach: AttachChoice,
    /// Show the kernel half's own log.
    pub verbose: bool,
    /// Say on stderr what katrace itself costs.
    pub stats: bool,
    /// How descriptors are read.
    pub scan: Scan,
    /// Size of the ring buffer in bytes: a power of two, at least one page.
    pub ring_bytes: u32,
}

/// What to read of this host's sockets, and how.
#[derive(Clone, Debug, Default)]
pub struct SnapshotSettings {
    pub filters: Filters,
    pub reader: ReaderChoice,
}

/// Everything that decides how sockets are listed.
#[derive(Clone, Debug)]
pub struct SocketsSettings {
    pub output: Format,
    pub read: SnapshotSettings,
    /// `None` = as the kernel hands them over.
    pub sort: Option<SortBy>,
    /// Only sockets with unanswered probes.
    pub dying: bool,
    /// Only sockets whose keepalive is known to be off.
    pub no_keepalive: bool,
    /// From the end of one listing to the next; `None` = once.
    pub watch: Option<Duration>,
}

/// What a listing is sorted by; equals stay in the kernel's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    State,
    Local,
    Peer,
    Pid,
    Comm,
    Netns,
    Idle,
    UserTimeout,
    NextProbe,
    DetectIdle,
    DetectData,
    Unanswered,
    Silence,
    Unacked,
}

impl SortBy {
    /// Every word there is, for a refusal.
    pub const WORDS: &str = "state, local, peer, pid, comm, netns, idle, user-timeout, next-probe, \
                             detect-idle, detect-data, unanswered, silence, unacked";

    /// What a word means.
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "state" => Self::State,
            "local" => Self::Local,
            "peer" => Self::Peer,
            "pid" => Self::Pid,
            "comm" => Self::Comm,
            "netns" => Self::Netns,
            "idle" => Self::Idle,
            "user-timeout" => Self::UserTimeout,
            "next-probe" => Self::NextProbe,
            "detect-idle" => Self::DetectIdle,
            "detect-data" => Self::DetectData,
            "unanswered" => Self::Unanswered,
            "silence" => Self::Silence,
            "unacked" => Self::Unacked,
            _ => return None,
        })
    }
}

/// Which way to read sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReaderChoice {
    /// The iterator where the kernel allows it, sock_diag elsewhere.
    #[default]
    Auto,
    /// A BPF iterator over the kernel's own socket table.
    Iter,
    /// sock_diag for the list, `getsockopt` on a holder's descriptor for the settings.
    Diag,
}

/// How records are written to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
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

/// Which way to watch the keepalive timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachChoice {
    /// The first that this kernel accepts.
    Auto,
    /// This one or none.
    Only(Attach),
}

/// How to read who holds which descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// By the kernel's own walk where it is allowed.
    Auto,
    /// By the kernel's own walk (`iter/task_file`) or not at all.
    Iter,
    /// From /proc.
    Proc,
}

/// The kinds of event to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    pub probe: bool,
    pub answered: bool,
    pub stalled: bool,
    pub timeout: bool,
    pub reset: bool,
    pub noticed: bool,
    /// Print `answered` only from this many unanswered probes on. An answer to the first probe is
    /// keepalive at its daily work, so it is shown only to those who ask for it.
    pub answered_min: u32,
}

impl Events {
    /// No kind at all.
    pub const NONE: Self = Self {
        probe: false,
        answered: false,
        stalled: false,
        timeout: false,
        reset: false,
        noticed: false,
        answered_min: 1,
    };

    /// Every kind, and every answer.
    pub const ALL: Self = Self {
        probe: true,
        answered: true,
        stalled: true,
        timeout: true,
        reset: true,
        noticed: true,
        answered_min: 1,
    };

    /// Whether an event of this kind is to be printed.
    pub fn wants(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Probe { .. } => self.probe,
            Kind::Answered { unanswered, .. } => self.answered && *unanswered >= self.answered_min,
            Kind::Stalled { .. } => self.stalled,
            Kind::Timeout { .. } => self.timeout,
            Kind::Reset { .. } => self.reset,
            Kind::Noticed { .. } => self.noticed,
        }
    }
}

impl Default for Events {
    /// Every kind, but answers only after a probe was lost.
    fn default() -> Self {
        Self {
            answered_min: 2,
            ..Self::ALL
        }
    }
}

/// Which sockets to report. An empty list or `None` lets everything through.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// Thread group ids in katrace's own pid namespace.
    pub pids: Vec<u32>,
    pub comms: Option<CommGlobs>,
    pub lports: Vec<RangeInclusive<u16>>,
    pub rports: Vec<RangeInclusive<u16>>,
    /// Either end in any of these. Host bits are cleared; a v4-mapped network is given as IPv4.
    pub nets: Vec<IpNet>,
    pub family: Option<Family>,
    /// Inode of the network namespace.
    pub netns: Option<u32>,
    /// Id of a cgroup2 directory: its inode number.
    pub cgroup: Option<u64>,
}

impl Filters {
    /// Whether `--pid` and `--comm` want a socket with this owner.
    pub fn want_owner(&self, owner: &Owner) -> bool {
        let any = |wanted: &dyn Fn(&Process) -> bool| {
            let holders = owner.holders.iter().map(|holder| &holder.process);
            owner.process.iter().chain(holders).any(wanted)
        };
        // Each may be met by another holder, as when tracing.
        (self.pids.is_empty() || any(&|process| self.pids.contains(&process.pid)))
            && self
                .comms
                .as_ref()
                .is_none_or(|globs| any(&|process| globs.is_match(&process.comm)))
    }

    /// Whether the filters on family, ports and addresses want a socket with these ends.
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

/// The patterns of `--comm`; a name passes if any of them matches the whole of it.
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
