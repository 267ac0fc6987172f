//! The judge of counts: what the kernel counted, what was visible to any program, what katrace showed.
//!
//! For each network namespace, katrace must show exactly what was visible. Where the kernel counted more than that, it
//! ran no program at those moments, and katrace is not blamed for the difference. Without a control everything counts
//! as visible.

use std::fmt;

use anyhow::{Result, ensure};

use super::{Control, Counters, Netns};

/// Where the counts of one network namespace stand.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub kernel: Counters,
    visible: Option<Counters>,
}

impl Counts {
    /// # Errors
    ///
    /// The kernel's counters or the control's cannot be read.
    pub fn of(netns: &Netns, control: Option<&Control>) -> Result<Self> {
        Ok(Self {
            kernel: Counters::of(netns)?,
            visible: control
                .map(|control| control.visible(netns.inode))
                .transpose()?,
        })
    }

    pub fn since(self, base: Self) -> Due {
        let kernel = self.kernel.since(base.kernel);
        let visible = self.visible.zip(base.visible);
        Due {
            kernel,
            visible: visible.map_or(kernel, |(now, base)| now.since(base)),
        }
    }
}

/// What katrace must show over some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub kernel: Counters,
    pub visible: Counters,
}

impl Due {
    /// Compares with what katrace showed; returns what no program could see.
    ///
    /// # Errors
    ///
    /// katrace showed more or less than was visible, or the control saw more than the kernel counted.
    pub fn judge(self, shown: Counters) -> Result<Counters> {
        let Self { kernel, visible } = self;
        ensure!(
            visible.keepalive <= kernel.keepalive && visible.aborts <= kernel.aborts,
            "the control saw {visible}, the kernel counted only {kernel}"
        );
        ensure!(
            shown == visible,
            "katrace showed {shown}, {visible} were visible, the kernel counted {kernel}"
        );
        Ok(kernel.since(visible))
    }
}

/// An event that was due did not come. It is the only failure for which a scenario may be run again.
#[derive(Debug)]
pub struct MissedEvents(pub String);

impl fmt::Display for MissedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MissedEvents {}

/// Why a scenario that failed is run again: [`may_be_hidden`] holds for its [`MissedEvents`].
#[derive(Debug)]
pub struct RetryReason(pub String);

impl fmt::Display for RetryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RetryReason {}

/// Whether a scenario that failed may be run again. All of this must be true: an event is missing; katrace showed
/// everything that was visible; the kernel counted more than was visible; and the kernel ran timer softirqs without
/// running a program.
pub fn may_be_hidden(
    error: &anyhow::Error,
    accounts: &[(Due, Counters)],
    hidden_softirqs: u64,
) -> bool {
    let hidden: Option<u64> = accounts
        .iter()
        .map(|(due, shown)| due.judge(*shown).ok().map(Counters::total))
        .sum();
    error.is::<MissedEvents>() && hidden_softirqs > 0 && hidden.is_some_and(|hidden| hidden > 0)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    const NONE: Counters = Counters {
        keepalive: 0,
        aborts: 0,
    };

    fn probes(keepalive: u64) -> Counters {
        Counters {
            keepalive,
            aborts: 0,
        }
    }

    fn due(kernel: u64, visible: u64) -> Due {
        Due {
            kernel: probes(kernel),
            visible: probes(visible),
        }
    }

    fn missed() -> anyhow::Error {
        anyhow::Error::new(MissedEvents("no `probe`".to_owned()))
    }

    #[test]
    fn one_probe_in_a_thousand_not_shown_is_a_failure() {
        // The load scenario on a host that hides one softirq in twenty.
        let load = due(18_000, 17_100);
        assert_eq!(load.judge(probes(17_100)).unwrap(), probes(900));
        assert!(load.judge(probes(17_100 - 17)).is_err());
        assert!(load.judge(probes(17_099)).is_err());
        // What was not visible cannot have been shown.
        assert!(load.judge(probes(18_000)).is_err());
    }

    #[test]
    fn a_death_not_shown_is_a_failure() {
        let dead = Due {
            kernel: Counters {
                keepalive: 3,
                aborts: 1,
            },
            visible: Counters {
                keepalive: 3,
                aborts: 1,
            },
        };
        assert!(dead.judge(probes(3)).is_err());
    }

    #[test]
    fn a_control_that_sees_too_much_is_a_failure() {
        assert!(due(3, 4).judge(probes(4)).is_err());
    }

    #[test]
    fn without_a_control_all_is_visible() {
        let counts = |keepalive| Counts {
            kernel: probes(keepalive),
            visible: None,
        };
        assert_eq!(counts(5).since(counts(2)), due(3, 3));
    }

    #[test]
    fn only_missed_events_that_nobody_could_see_are_excused() {
        let hidden = [(due(3, 2), probes(2)), (due(0, 0), NONE)];
        assert!(may_be_hidden(&missed(), &hidden, 1));
        assert!(may_be_hidden(
            &missed().context("socket of kat-recv"),
            &hidden,
            1
        ));
        // Another failure while something was hidden.
        assert!(!may_be_hidden(&anyhow!("a wrong owner"), &hidden, 1));
        let context = Err::<(), _>(anyhow!("a wrong owner")).context("no `probe`");
        assert!(!may_be_hidden(&context.unwrap_err(), &hidden, 1));
        // Nothing was hidden in the scenario's namespaces, whatever was elsewhere.
        let visible = [(due(3, 3), probes(3))];
        assert!(!may_be_hidden(&missed(), &visible, 50));
        // katrace missed one more than the host hid.
        let fewer = [(due(3, 2), probes(1))];
        assert!(!may_be_hidden(&missed(), &fewer, 1));
        let elsewhere = [(due(3, 2), probes(2)), (due(2, 2), probes(1))];
        assert!(!may_be_hidden(&missed(), &elsewhere, 1));
        // A kernel that runs programs in every softirq.
        assert!(!may_be_hidden(&missed(), &hidden, 0));
    }
}
