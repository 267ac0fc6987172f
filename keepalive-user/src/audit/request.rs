//! What the user asked of the audit, validated.

use super::{Plan, Profiles, Rule, Severity, Wanted, Yardstick};
use crate::settings::{Format, SnapshotSettings};

/// One of the things that `katrace audit` does.
#[derive(Clone, Debug)]
pub enum AuditRequest {
    /// Judge the sockets of this host.
    Judge(Box<AuditSettings>),
    /// Print settings that satisfy what is wanted; needs no socket and no privilege.
    Plan {
        output: Format,
        wanted: Wanted,
        plan: Plan,
    },
    /// List the path profiles.
    Paths { output: Format, profiles: Profiles },
    /// List the rules.
    Rules { output: Format },
}

/// Everything that decides how sockets are judged.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    pub snapshot: SnapshotSettings,
    pub output: Format,
    pub yardstick: Yardstick,
    /// What fixes recommend: it satisfies the yardstick.
    pub target: Plan,
    /// The rules to apply, in their order.
    pub rules: Vec<Rule>,
    /// Findings from this severity on make the exit code 1.
    pub fail_on: Severity,
}
