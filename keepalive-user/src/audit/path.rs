//! What lies between two hosts and how long it remembers an idle connection.

use serde::Deserialize;

/// One kind of hop, with the values of its documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name for `--path`.
    pub name: String,
    /// What it is, for people.
    pub hop: String,
    /// Idle time after which it forgets a connection, in milliseconds: its default.
    pub idle_timeout_ms: u64,
    /// The values that it can be set to, in words.
    pub range: Option<String>,
    /// Whether a keepalive probe restarts its idle timer.
    pub probe_resets: Resets,
    /// Where the kernel tells the value that counts instead.
    pub live: Option<Live>,
    /// The document that the value comes from.
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
    /// Not documented, but it is a packet filter, and those count every packet.
    Expected,
    /// Not documented.
    #[serde(rename = "not stated")]
    NotStated,
    /// It does not: the hop ends the TCP connection. It answers probes itself and counts only bytes.
    No,
}

impl Resets {
    /// Its word in files and outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Expected => "expected",
            Self::NotStated => "not stated",
            Self::No => "no",
        }
    }
}

/// Where the running kernel tells a hop's timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Live {
    /// `net.netfilter.nf_conntrack_tcp_timeout_established`, of each network namespace.
    NfConntrack,
    /// `ipvsadm --list --timeout`, of each network namespace.
    Ipvs,
}

impl Live {
    /// Its word in files and outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::NfConntrack => "nf_conntrack",
            Self::Ipvs => "ipvs",
        }
    }
}

/// A hop of the path that sockets are judged against or a plan is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The profile's name, or the timeout as it was given.
    pub name: String,
    /// Idle time after which it forgets the connection, in milliseconds.
    pub timeout_ms: u64,
    /// Whether a keepalive probe restarts its idle timer.
    pub probe_resets: Resets,
    /// Where the kernel tells the value that counts instead.
    pub live: Option<Live>,
}

impl Hop {
    /// A hop of which only the timeout (milliseconds) is known. Probes count as traffic there.
    pub fn of_timeout(name: &str, timeout_ms: u64) -> Self {
        Self {
            name: name.to_owned(),
            timeout_ms,
            probe_resets: Resets::Yes,
            live: None,
        }
    }

    /// Probes may keep a connection open here.
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
