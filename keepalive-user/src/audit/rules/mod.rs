//! Each rule's judgement, pure: sockets in, groups of sockets and what to say of them out.

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
pub struct Told {
    pub evidence: Evidence,
    pub why: String,
    pub advice: Advice,
}

/// What would mend it; how to say it depends on the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The keepalive settings of the plan.
    Settings,
    /// TCP_USER_TIMEOUT, in milliseconds.
    UserTimeout(u64),
    /// TCP_KEEPIDLE, in seconds.
    Idle(u64),
    /// These lines, whoever it is.
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

    /// Name and timeout of the hop; empty for a rule that knows none.
    fn hop_or_none(&self) -> (&'a str, u64) {
        self.hop
            .map_or(("", 0), |(hop, timeout)| (hop.name.as_str(), timeout))
    }
}

/// Everything that one rule finds.
pub fn apply<'a>(rule: Rule, context: &Context<'a>) -> Vec<(Group<'a>, Told)> {
    let told = |groups: Vec<Group<'a>>, tell: &dyn Fn(&Group<'a>) -> Told| {
        groups
            .into_iter()
            .map(|group| {
                let told = tell(&group);
                (group, told)
            })
            .collect()
    };
    match rule {
        Rule::DyingNow => told(by_pool(context, now::dying), &now::tell_dying),
        Rule::ProbesSuspended => told(by_pool(context, now::suspended), &|group| {
            now::tell_suspended(group, context)
        }),
        Rule::IdleExceedsPath => told(
            by_pool(context, |socket| path::idle_exceeds(context, socket)),
            &path::tell_idle_exceeds,
        ),
        Rule::NoKeepalive => told(
            by_pool(context, |socket| path::no_keepalive(context, socket)),
            &path::tell_no_keepalive,
        ),
        Rule::L7Hop => told(
            by_pool(context, |socket| path::l7(context, socket)),
            &path::tell_l7,
        ),
        Rule::SlowDetection => told(
            by_pool(context, |socket| detection::slow(context, socket)),
            &|group| detection::tell_slow(group, context),
        ),
        Rule::UserTimeoutTooShort => told(
            by_pool(context, user_timeout::too_short),
            &user_timeout::tell_too_short,
        ),
        Rule::UserTimeoutOverridesKeepcnt => told(
            by_pool(context, user_timeout::overrides_count),
            &user_timeout::tell_overrides_count,
        ),
        Rule::NetnsNotTuned => match host::tuned_host(context) {
            Some(own) => told(host::not_tuned(context, &own), &|group| {
                host::tell_not_tuned(group, &own)
            }),
            None => Vec::new(),
        },
        Rule::NoUserTimeout => told(
            by_pool(context, |socket| {
                detection::no_user_timeout(context, socket)
            }),
            &|group| detection::tell_no_user_timeout(group, context),
        ),
        Rule::ListenerWithoutKeepalive => {
            let accepted = host::Accepted::of(context);
            told(
                by_pool(context, |socket| accepted.judge(socket)),
                &|group| accepted.tell(group),
            )
        }
        Rule::Noisy => told(host::noisy(context), &|group| {
            host::tell_noisy(group, context)
        }),
    }
}
