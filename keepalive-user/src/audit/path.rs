//! What lies between two hosts and how long it remembers an idle connection.

use serde::Deserialize;

/// One kind of hop, as its documentation describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What `--path` takes.
    pub name: String,
    /// What it is, for people.
    pub hop: String,
    /// Its default, in milliseconds.
    pub idle_timeout_ms: u64,
    /// What it can be set to, in words.
    pub range: Option<String>,
    pub probe_resets: Resets,
    /// The kernel has a value of its own that counts instead.
    pub live: Option<Live>,
    pub source: Option<String>,
    /// When the value was last compared with its source.
    pub date: Option<String>,
}

/// Whether a keepalive probe restarts a hop's idle timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resets {
    /// Documented or measured.
    Yes,
    /// A packet filter, where any packet counts.
    Expected,
    #[serde(rename = "not stated")]
    NotStated,
    /// It ends TCP itself: it answers probes and counts bytes only.
    No,
}

impl Resets {
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Expected => "expected",
            Self::NotStated => "not stated",
            Self::No => "no",
        }
    }
}

/// Where the running kernel keeps a hop's timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Live {
    /// `net.netfilter.nf_conntrack_tcp_timeout_established`, of each network namespace.
    NfConntrack,
    /// `ipvsadm --list --timeout`, of each network namespace.
    Ipvs,
}

impl Live {
    pub fn name(self) -> &'static str {
        match self {
            Self::NfConntrack => "nf_conntrack",
            Self::Ipvs => "ipvs",
        }
    }
}

/// A hop of the path that a run judges against or plans for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub name: String,
    /// Idle time after which it forgets the connection, in milliseconds.
    pub timeout_ms: u64,
    pub probe_resets: Resets,
    pub live: Option<Live>,
}

impl Hop {
    /// Any other hop, named by its timeout: a probe counts as traffic there.
    pub fn of_timeout(name: &str, timeout_ms: u64) -> Self {
        Self {
            name: name.to_owned(),
            timeout_ms,
            probe_resets: Resets::Yes,
            live: None,
        }
    }

    /// Probes may keep a connection alive here.
    pub fn passes_probes(&self) -> bool {
        self.probe_resets != Resets::No
    }
}

impl From<&Profile> for Hop {
    fn from(profile: &Profile) -> Self {
        Self {
            name: profile.name.clone(),
            timeout_ms: profile.idle_timeout_ms,
            probe_resets: profile.probe_resets,
            live: profile.live,
        }
    }
}
