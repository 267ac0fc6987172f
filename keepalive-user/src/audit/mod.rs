//! What is wrong with the settings of this host's sockets, and what would fix it.
//!
//! Judging is pure: [`judge`] derives findings from a snapshot, facts of the host and a yardstick. Only `host`,
//! `programs` and `profiles` read files.

mod apps;
mod context;
mod finding;
mod fix;
mod group;
mod host;
mod ipvs;
mod path;
mod plan;
mod profiles;
mod programs;
mod request;
mod rule;
mod rules;

pub use apps::{App, Program, sysctls};
pub use context::{HostFacts, Yardstick};
pub use finding::{Evidence, Example, Finding, Verdict};
pub use path::{Hop, Live, Profile, Resets};
pub use plan::{Plan, Unsatisfiable, Wanted, remark, retries2_ms, retries2_within};
pub use profiles::{PathsError, Profiles};
pub use request::{AuditRequest, AuditSettings};
pub use rule::{Rule, Severity};

use std::cmp::Reverse;

use crate::{event::Process, snapshot::Snapshot};

/// Every finding of these rules, the most dangerous first. `target` is the plan that fixes recommend. `program` is
/// called once for each finding with a known process.
pub fn judge(
    snapshot: &Snapshot,
    host: &HostFacts,
    yardstick: &Yardstick,
    target: Plan,
    rules: &[Rule],
    program: impl Fn(&Process) -> Program,
) -> Verdict {
    let context = context::Context::new(snapshot, host, yardstick, target);
    let mut findings = Vec::new();
    for rule in rules {
        for (group, explanation) in rules::apply(*rule, &context) {
            let program = group.process().map(&program);
            let mut evidence = explanation.evidence;
            evidence.0.extend(group.processes());
            findings.push(Finding {
                rule: *rule,
                severity: group.hit.severity,
                pid: group.pid(),
                comm: group.process().map(|process| process.comm.to_string()),
                sockets: group.len(),
                evidence,
                why: explanation.why,
                fix: fix::lines(explanation.advice, &group, &context, program.as_ref()),
                examples: group.examples(),
            });
        }
    }
    // The sort is stable: equal findings stay in the order of their first socket.
    findings.sort_by_key(|one| (Reverse(one.severity), one.rule, Reverse(one.sockets)));
    Verdict {
        findings,
        sockets: context.sockets.len(),
        unknown: context.unknown,
        missing: Vec::new(),
    }
}

/// The verdict on a snapshot, with what /proc and the kernel add to it.
pub fn of(snapshot: &Snapshot, settings: &AuditSettings) -> Verdict {
    let yardstick = &settings.yardstick;
    let mut missing = Vec::new();
    let host = host::read(snapshot, &yardstick.wanted.hops, &mut missing);
    let mut verdict = judge(
        snapshot,
        &host,
        yardstick,
        target(settings, &host),
        &settings.rules,
        programs::identify,
    );
    verdict.missing = missing;
    verdict
}

/// The plan that fixes recommend. A timeout that was read from the kernel replaces the profile's. With several
/// namespaces, the shortest timeout counts. If no plan can satisfy that, it is the plan for the profiles.
fn target(settings: &AuditSettings, host: &HostFacts) -> Plan {
    let mut wanted = settings.yardstick.wanted.clone();
    for hop in &mut wanted.hops {
        let live = host.live.iter().filter(|((name, _), _)| *name == hop.name);
        if let Some(shortest) = live.map(|(_, ms)| *ms).min() {
            hop.timeout_ms = shortest;
        }
    }
    wanted.plan_or_usual().unwrap_or(settings.target)
}
