//! The rules of the audit: their ids, which never change, their severities, and a line about each.

/// How much a finding matters. The order is from harmless to dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing: a weakness that hurts only in some failures.
    Info,
    /// A failure will be noticed late, or the kernel will end live connections.
    Warning,
    /// A connection hangs or dies now, or will as soon as it is idle.
    Critical,
}

impl Severity {
    /// Every severity, the worst first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// Its word on the command line and in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// What the audit looks for. Each rule has its section in docs/audit.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Probes go unanswered.
    DyingNow,
    /// Unacknowledged data keeps the kernel from sending probes.
    ProbesSuspended,
    /// The first probe comes too late for a hop of the path.
    IdleExceedsPath,
    /// A connection without keepalive, idle for long.
    NoKeepalive,
    /// A hop of the path answers the probes itself.
    L7Hop,
    /// A dead peer is noticed later than was asked for.
    SlowDetection,
    /// TCP_USER_TIMEOUT ends the connection before a second probe.
    UserTimeoutTooShort,
    /// TCP_USER_TIMEOUT and TCP_KEEPCNT say different numbers of probes.
    UserTimeoutOverridesKeepcnt,
    /// A namespace has the kernel's defaults, although the host's were changed.
    NetnsNotTuned,
    /// Only retransmission bounds the time that unacknowledged data is retried.
    NoUserTimeout,
    /// Accepted sockets get keepalive from nobody.
    ListenerWithoutKeepalive,
    /// A process sends very many probes.
    Noisy,
}

impl Rule {
    /// Every rule, the most dangerous first: the order of findings of one severity.
    pub const ALL: [Self; 12] = [
        Self::DyingNow,
        Self::ProbesSuspended,
        Self::IdleExceedsPath,
        Self::NoKeepalive,
        Self::L7Hop,
        Self::SlowDetection,
        Self::UserTimeoutTooShort,
        Self::UserTimeoutOverridesKeepcnt,
        Self::NetnsNotTuned,
        Self::NoUserTimeout,
        Self::ListenerWithoutKeepalive,
        Self::Noisy,
    ];

    /// The `rule` field, and what `--ignore` takes.
    pub fn id(self) -> &'static str {
        match self {
            Self::DyingNow => "dying-now",
            Self::ProbesSuspended => "probes-suspended",
            Self::IdleExceedsPath => "idle-exceeds-path",
            Self::NoKeepalive => "no-keepalive",
            Self::L7Hop => "l7-hop",
            Self::SlowDetection => "slow-detection",
            Self::UserTimeoutTooShort => "user-timeout-too-short",
            Self::UserTimeoutOverridesKeepcnt => "user-timeout-overrides-keepcnt",
            Self::NetnsNotTuned => "netns-not-tuned",
            Self::NoUserTimeout => "no-user-timeout",
            Self::ListenerWithoutKeepalive => "listener-without-keepalive",
            Self::Noisy => "noisy",
        }
    }

    /// The rule of this id.
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.id() == id)
    }

    /// How bad a finding of this rule is, unless `--path` or `--detect-within` makes it worse
    /// ([`worst`](Self::worst)).
    pub fn severity(self) -> Severity {
        match self {
            Self::DyingNow | Self::ProbesSuspended | Self::IdleExceedsPath => Severity::Critical,
            Self::NoKeepalive
            | Self::L7Hop
            | Self::SlowDetection
            | Self::UserTimeoutTooShort
            | Self::UserTimeoutOverridesKeepcnt
            | Self::NetnsNotTuned => Severity::Warning,
            Self::NoUserTimeout | Self::ListenerWithoutKeepalive | Self::Noisy => Severity::Info,
        }
    }

    /// The severity where `--path` or `--detect-within` shows that the finding matters on this host.
    pub fn worst(self) -> Severity {
        match self {
            Self::NoKeepalive => Severity::Critical,
            Self::NoUserTimeout => Severity::Warning,
            other => other.severity(),
        }
    }

    /// What it looks for, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::DyingNow => "probes go unanswered: the connection is dying now",
            Self::ProbesSuspended => {
                "data is unacknowledged although the peer is silent, so keepalive sends no probe"
            }
            Self::IdleExceedsPath => {
                "the first probe comes after a hop of --path has forgotten the connection"
            }
            Self::NoKeepalive => "a connection without keepalive, idle for long (--idle)",
            Self::L7Hop => {
                "keepalive is on, but a proxy of --path answers the probes and counts bytes only"
            }
            Self::SlowDetection => "a dead peer is noticed later than --detect-within",
            Self::UserTimeoutTooShort => {
                "TCP_USER_TIMEOUT ends before a second probe: one lost packet ends the connection"
            }
            Self::UserTimeoutOverridesKeepcnt => {
                "TCP_USER_TIMEOUT decides after another number of probes than TCP_KEEPCNT says"
            }
            Self::NetnsNotTuned => {
                "the host's keepalive sysctls are tuned, a network namespace still has the kernel's"
            }
            Self::NoUserTimeout => {
                "no TCP_USER_TIMEOUT: unacknowledged data is retried for some 15 minutes"
            }
            Self::ListenerWithoutKeepalive => {
                "a listener whose accepted sockets inherit no keepalive, and nobody sets it later"
            }
            Self::Noisy => "a process sends more than 50 probes a second when its peers are idle",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kebab_case_and_unique_and_find_their_rule() {
        for (at, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(Rule::named(rule.id()), Some(rule));
            assert!(
                rule.id()
                    .bytes()
                    .all(|byte| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
            );
            assert!(!Rule::ALL[..at].contains(&rule));
            assert!(rule.worst() >= rule.severity());
        }
        assert_eq!(Rule::named("nonsense"), None);
    }

    #[test]
    fn rules_are_ordered_by_severity() {
        assert!(
            Rule::ALL
                .windows(2)
                .all(|pair| pair[0].severity() >= pair[1].severity())
        );
    }
}
