//! Refusals of a command line. Each is one line: what was typed, what is wrong with it, what is accepted.

use std::{borrow::Cow, fmt, path::PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
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
        /// As in the help: the short form where there is one.
        flag: Cow<'static, str>,
        /// What was typed.
        value: String,
        /// What is wrong with it.
        why: String,
        /// What would have been taken.
        accepted: Cow<'static, str>,
    },

    /// `-p` names no process.
    #[error("-p {pid}: no such process; give the pid of a running one, or select by name with -c")]
    NoProcess {
        /// What was typed.
        pid: u32,
    },

    /// `-p` names a thread that does not lead its process.
    #[error(
        "-p {pid}: a thread of process {process}, and sockets belong to processes; give -p {process}"
    )]
    Thread {
        /// What was typed.
        pid: u32,
        /// The process that it belongs to.
        process: u32,
    },

    /// The cgroup cannot be read.
    #[error("--cgroup {}: {source}; give a cgroup2 directory that can be read", Escaped(&.path.to_string_lossy()))]
    Cgroup {
        /// What was typed.
        path: PathBuf,
        /// Why it cannot be read.
        source: std::io::Error,
    },

    /// The path is no cgroup2 directory.
    #[error(
        "--cgroup {}: not a directory of a cgroup2 file system; give one, or its path as /proc/PID/cgroup shows it",
        Escaped(&.path.to_string_lossy())
    )]
    NotCgroup2 {
        /// What was typed.
        path: PathBuf,
    },

    /// katrace cannot find its own network namespace.
    #[error("-N self: /proc/self/ns/net cannot be read ({source}); mount /proc or give the inode")]
    NoNetns {
        /// Why.
        source: std::io::Error,
    },

    /// A file of path profiles that cannot be used.
    #[error("{}", Escaped(&.0.to_string()))]
    Paths(#[from] PathsError),

    /// Nothing can satisfy what was asked for.
    #[error("{}", Escaped(&.0.to_string()))]
    Unsatisfiable(#[from] Unsatisfiable),

    /// What clap found: an unknown flag or word, a missing value, two flags that exclude each other.
    #[error("{}", Escaped(.0))]
    Line(String),
}

/// Displays a value within a line; an empty one as a pair of quotes.
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
    /// The refusal for clap to pass on, where a value is refused while clap still parses.
    pub(super) fn into_clap(self, command: &clap::Command) -> clap::Error {
        let mut error = clap::Error::new(ErrorKind::ValueValidation).with_cmd(command);
        error.insert(ContextKind::Custom, ContextValue::String(self.to_string()));
        error
    }

    /// The line of a refusal made by [`Self::into_clap`]. clap's own refusals take several lines: their
    /// cause and their hint are joined.
    pub(super) fn from_clap(refusal: &clap::Error) -> Self {
        if let Some(ContextValue::String(line)) = refusal.get(ContextKind::Custom) {
            return Self::Line(line.clone());
        }
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
