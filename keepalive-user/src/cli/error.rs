//! A command line refused, in one line: what was typed, what is wrong with it, what is accepted.

use std::{borrow::Cow, fmt, path::PathBuf};

use thiserror::Error;

use crate::{
    audit::{PathsError, Unsatisfiable},
    sinks::sanitize::Escaped,
};

/// Why a command line cannot be followed; exit code 2. `Display` is one line, safe for a terminal.
#[derive(Debug, Error)]
pub enum UsageError {
    /// A value of a flag that cannot be read.
    #[error("{flag} {}: {}; accepted: {accepted}", Shown(.value), Escaped(.why))]
    Value {
        flag: &'static str,
        value: String,
        why: String,
        accepted: Cow<'static, str>,
    },

    #[error("-p {pid}: no such process; give the pid of a running one, or select by name with -c")]
    NoProcess { pid: u32 },

    #[error(
        "-p {pid}: a thread of process {process}, and sockets belong to processes; give -p {process}"
    )]
    Thread { pid: u32, process: u32 },

    #[error("--cgroup {}: {source}; give a cgroup2 directory that can be read", Escaped(&.path.to_string_lossy()))]
    Cgroup {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error(
        "--cgroup {}: not a directory of a cgroup2 file system; give one, or its path as /proc/PID/cgroup shows it",
        Escaped(&.path.to_string_lossy())
    )]
    NotCgroup2 { path: PathBuf },

    #[error("-N self: /proc/self/ns/net cannot be read ({source}); mount /proc or give the inode")]
    NoNetns { source: std::io::Error },

    /// A file of path profiles that cannot be used.
    #[error("{}", Escaped(&.0.to_string()))]
    Paths(#[from] PathsError),

    /// Nothing can satisfy what was asked for.
    #[error("{}", Escaped(&.0.to_string()))]
    Unsatisfiable(#[from] Unsatisfiable),

    /// The line itself: an unknown flag, a missing value, two flags that exclude each other.
    #[error("{}", Escaped(.0))]
    Line(String),
}

/// A value as it can stand in a line: an empty one as a pair of quotes.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("''"),
            value => Escaped(value).fmt(f),
        }
    }
}

impl UsageError {
    /// clap explains itself over several lines; this keeps its cause and its hint and joins them.
    pub(super) fn from_clap(refusal: &clap::Error) -> Self {
        let rendered = refusal.render().to_string();
        let mut parts = Vec::new();
        for line in rendered.lines() {
            let line = line.trim();
            if line.starts_with("Usage:") || line.starts_with("For more information") {
                break;
            }
            if !line.is_empty() {
                parts.push(
                    line.trim_start_matches("error: ")
                        .trim_start_matches("tip: "),
                );
            }
        }
        Self::Line(format!(
            "{}; see katrace --help",
            parts.join("; ").replace(":;", ":")
        ))
    }
}
