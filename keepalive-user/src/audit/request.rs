//! What the user asked the audit for, after validation.

use super::{Plan, Profiles, Rule, Severity, Wanted, Yardstick};
use crate::settings::{Format, SnapshotSettings};

/// One of the things that `katrace audit` does.
#[derive(Clone, Debug)]
pub enum AuditRequest {
    /// Judge the sockets of this host.
    Judge(Box<AuditSettings>),
    /// Print settings that satisfy what is wanted; that needs no socket and no privilege.
    Plan {
        /// How to print it.
        output: Format,
        /// What the user asked for.
        wanted: Wanted,
        /// What satisfies it.
        plan: Plan,
    },
    /// List the path profiles.
    Paths {
        /// How to print them.
        output: Format,
        /// The built-in ones, and those of the user's file.
        profiles: Profiles,
    },
    /// List the rules.
    Rules {
        /// How to print them.
        output: Format,
    },
}

/// Everything that decides how sockets are judged.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// Which sockets are read, and how.
    pub snapshot: SnapshotSettings,
    /// How findings are printed.
    pub output: Format,
    /// What the sockets are compared with.
    pub yardstick: Yardstick,
    /// The plan that fixes recommend: it satisfies the yardstick.
    pub target: Plan,
    /// The rules to apply, in their order.
    pub rules: Vec<Rule>,
    /// Findings from this severity on make the exit code 1.
    pub fail_on: Severity,
}
