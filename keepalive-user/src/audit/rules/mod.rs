//! The judgement of each rule, as pure functions: from sockets to groups of sockets with an explanation.

mod detection;
mod host;
mod now;
mod path;
#[cfg(test)]
mod tests;
mod user_timeout;

use super::{
    context::Context,
    finding::Evidence,
    group::{Group, Hit, by_pool},
    path::Hop,
    rule::Rule,
};

/// What a rule says of one group of sockets.
pub struct Explanation {
    pub evidence: Evidence,
    /// Why it hurts, in one sentence.
    pub why: String,
    pub advice: Advice,
}

/// A group, and what the rule says of it.
pub type Explained<'a> = (Group<'a>, Explanation);

/// What would fix it. The lines for it depend on the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The keepalive settings of the plan.
    Settings,
    /// TCP_USER_TIMEOUT, in milliseconds.
    UserTimeout(u64),
    /// TCP_KEEPIDLE, in seconds.
    Idle(u64),
    /// These lines, whatever the program.
    Lines(Vec<String>),
}

impl<'a> Hit<'a> {
    fn plain(rule: Rule) -> Self {
        Self {
            severity: rule.severity(),
            hop: None,
        }
    }

    fn at(rule: Rule, hop: (&'a Hop, u64)) -> Self {
        Self {
            severity: rule.severity(),
            hop: Some(hop),
        }
    }

    /// Name and timeout (milliseconds) of the hop; empty name and 0 for a rule that has none.
    fn hop_or_none(&self) -> (&'a str, u64) {
        self.hop
            .map_or(("", 0), |(hop, timeout)| (hop.name.as_str(), timeout))
    }
}

/// Everything that one rule finds.
pub fn apply<'a>(rule: Rule, context: &Context<'a>) -> Vec<Explained<'a>> {
    match rule {
        Rule::DyingNow => explained(by_pool(context, now::dying), now::explain_dying),
        Rule::ProbesSuspended => explained(by_pool(context, now::suspended), |group| {
            now::explain_suspended(group, context)
        }),
        Rule::IdleExceedsPath => explained(
            by_pool(context, |socket| path::idle_exceeds(context, socket)),
            path::explain_idle_exceeds,
        ),
        Rule::NoKeepalive => explained(
            by_pool(context, |socket| path::no_keepalive(context, socket)),
            path::explain_no_keepalive,
        ),
        Rule::L7Hop => explained(
            by_pool(context, |socket| path::l7(context, socket)),
            path::explain_l7,
        ),
        Rule::SlowDetection => explained(
            by_pool(context, |socket| detection::slow(context, socket)),
            |group| detection::explain_slow(group, context),
        ),
        Rule::UserTimeoutTooShort => explained(
            by_pool(context, user_timeout::too_short),
            user_timeout::explain_too_short,
        ),
        Rule::UserTimeoutOverridesKeepcnt => explained(
            by_pool(context, user_timeout::overrides_count),
            user_timeout::explain_overrides_count,
        ),
        Rule::NetnsNotTuned => not_tuned(context),
        Rule::NoUserTimeout => explained(
            by_pool(context, |socket| {
                detection::no_user_timeout(context, socket)
            }),
            |group| detection::explain_no_user_timeout(group, context),
        ),
        Rule::ListenerWithoutKeepalive => listeners(context),
        Rule::Noisy => explained(host::noisy(context), |group| {
            host::explain_noisy(group, context)
        }),
    }
}

/// Namespaces cannot be less tuned than a host that nobody tuned.
fn not_tuned<'a>(context: &Context<'a>) -> Vec<Explained<'a>> {
    let Some(own) = host::tuned_host(context) else {
        return Vec::new();
    };
    explained(host::not_tuned(context, &own), |group| {
        host::explain_not_tuned(group, &own)
    })
}

fn listeners<'a>(context: &Context<'a>) -> Vec<Explained<'a>> {
    let accepted = host::Accepted::of(context);
    explained(by_pool(context, |socket| accepted.judge(socket)), |group| {
        accepted.explain(group)
    })
}

fn explained<'a>(
    groups: Vec<Group<'a>>,
    explain: impl Fn(&Group<'a>) -> Explanation,
) -> Vec<Explained<'a>> {
    let explained = groups.into_iter().map(|group| {
        let explanation = explain(&group);
        (group, explanation)
    });
    explained.collect()
}
