//! Settings that notice a dead peer in time and keep a path open: pure arithmetic.

use std::fmt;

use thiserror::Error;

use super::path::{Hop, Resets};
use crate::{format::Millis, snapshot::timeouts};

/// The kernel's bounds of TCP_KEEPIDLE and TCP_KEEPINTVL, in seconds (include/net/tcp.h,
/// `MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL`).
const LONGEST_S: u64 = 32_767;
/// Intervals that a plan may have, in seconds; the longest is the kernel's default.
const INTERVALS_S: [u64; 10] = [75, 60, 30, 20, 15, 10, 5, 3, 2, 1];
/// How many probes a plan has. One or two lost packets do not mean that the peer is dead.
const PROBES: u64 = 3;
/// The time, in seconds, within which a dead peer is to be noticed if the user gives none.
const USUAL_WITHIN_S: u64 = 90;

/// Keepalive settings that belong together, in the whole seconds of the socket options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `TCP_KEEPIDLE`, in seconds.
    pub idle_s: u64,
    /// `TCP_KEEPINTVL`, in seconds.
    pub intvl_s: u64,
    /// `TCP_KEEPCNT`.
    pub cnt: u64,
}

/// What a plan has to satisfy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A dead peer is to be noticed within this time, in milliseconds.
    pub detect_within_ms: Option<u64>,
    /// The hops of the path, in the order of the command line.
    pub hops: Vec<Hop>,
}

/// Why no plan satisfies what was asked for. The message is one line.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Unsatisfiable {
    /// Shorter than the shortest plan.
    #[error(
        "--detect-within {}: keepalive counts in whole seconds, so the soonest is 2 s \
         (1 + 1 × 1); accepted: 2s or more",
        Millis(*.within_ms)
    )]
    TooSoon {
        /// What was asked for, in milliseconds.
        within_ms: u64,
    },
    /// A hop forgets sooner than the shortest plan.
    #[error(
        "--path {name}: it forgets after {}, before keepalive can probe twice \
         (1 + 1 × 1 = 2 s); accepted: hops of 3 s or more",
        Millis(*.timeout_ms)
    )]
    PathTooShort {
        /// Name of the hop.
        name: String,
        /// Its timeout, in milliseconds.
        timeout_ms: u64,
    },
    /// Only hops where probes do not help, and no time to notice a dead peer in.
    #[error(
        "--path {name}: it ends TCP and counts bytes only, so no keepalive setting keeps it open; \
         let the application send something, or add --detect-within to plan for dead peers"
    )]
    OnlyL7 {
        /// Name of the first such hop.
        name: String,
    },
    /// Neither a path nor a time was given.
    #[error("--plan: nothing to plan for; add --detect-within TIME, --path LIST, or both")]
    Nothing,
}

impl Wanted {
    /// The hop with the shortest timeout among those that probes keep open.
    pub fn tightest(&self) -> Option<&Hop> {
        self.hops
            .iter()
            .filter(|hop| hop.passes_probes())
            .min_by_key(|hop| hop.timeout_ms)
    }

    /// Hops that end TCP and answer probes themselves.
    pub fn l7(&self) -> impl Iterator<Item = &Hop> {
        self.hops.iter().filter(|hop| !hop.passes_probes())
    }

    /// As [`plan`](Self::plan), but with 90 s as the time within which a dead peer is to be noticed where the user gave
    /// none.
    ///
    /// # Errors
    ///
    /// No plan satisfies it; the message says why.
    pub fn plan_or_usual(&self) -> Result<Plan, Unsatisfiable> {
        let usual = USUAL_WITHIN_S * 1000;
        let within = Self {
            detect_within_ms: Some(self.detect_within_ms.unwrap_or(usual)),
            hops: self.hops.clone(),
        };
        within.plan()
    }

    /// A plan that satisfies all that is wanted.
    ///
    /// # Errors
    ///
    /// No plan satisfies it; the message says why.
    pub fn plan(&self) -> Result<Plan, Unsatisfiable> {
        let tightest = self.tightest();
        if self.detect_within_ms.is_none() && tightest.is_none() {
            return Err(match self.l7().next() {
                Some(hop) => Unsatisfiable::OnlyL7 {
                    name: hop.name.clone(),
                },
                None => Unsatisfiable::Nothing,
            });
        }
        if let Some(within_ms) = self.detect_within_ms
            && within_ms < 2000
        {
            return Err(Unsatisfiable::TooSoon { within_ms });
        }
        if let Some(hop) = tightest
            && hop.timeout_ms < 3000
        {
            return Err(Unsatisfiable::PathTooShort {
                name: hop.name.clone(),
                timeout_ms: hop.timeout_ms,
            });
        }
        // Strictly below the timeout of the path, so that even the last probe comes in time.
        let path_s = tightest.map(|hop| (hop.timeout_ms - 1) / 1000);
        let within_s = self.detect_within_ms.map(|ms| ms / 1000);
        let budget_s = [path_s, within_s].into_iter().flatten().min();
        Ok(Plan::within(budget_s.unwrap_or(USUAL_WITHIN_S)))
    }
}

impl Plan {
    /// A plan that takes at most `budget_s` seconds (2 or more). A third is for three probes, the rest is idle time.
    /// Below 4 s there is no room for three probes.
    fn within(budget_s: u64) -> Self {
        let cnt = budget_s.saturating_sub(1).clamp(1, PROBES);
        let wish = budget_s / (3 * PROBES);
        let intvl_s = INTERVALS_S
            .into_iter()
            .find(|intvl| *intvl <= wish)
            .unwrap_or(1);
        let rest = budget_s.saturating_sub(cnt * intvl_s).clamp(1, LONGEST_S);
        // Above a minute, whole tens of seconds read better.
        let idle_s = if rest > 60 { rest - rest % 10 } else { rest };
        Self {
            idle_s,
            intvl_s,
            cnt,
        }
    }

    /// Until a dead peer is noticed on an idle connection, in seconds.
    pub fn detect_s(&self) -> u64 {
        self.idle_s + self.cnt * self.intvl_s
    }

    /// The TCP_USER_TIMEOUT that agrees with the rest, in milliseconds: it ends an idle connection after the same number
    /// of probes, and data in flight is retried for the same time.
    pub fn user_timeout_ms(&self) -> u64 {
        self.detect_s() * 1000
    }
}

impl fmt::Display for Plan {
    /// The arithmetic: `60 + 3 × 10 = 90 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            idle_s,
            intvl_s,
            cnt,
        } = self;
        write!(f, "{idle_s} + {cnt} × {intvl_s} = {} s", self.detect_s())
    }
}

/// How long unacknowledged data is retried under a `tcp_retries2` of `retries`, in milliseconds, if the connection's
/// retransmission timeout is the shortest that there is.
pub fn retries2_ms(retries: u32) -> u64 {
    timeouts::data_ms(timeouts::RTO_MIN_MS, 0, retries, timeouts::RTO_MAX_MS)
}

/// The largest `tcp_retries2` with which the kernel gives up within `ms` milliseconds, but at least 8: RFC 1122 demands
/// 100 seconds, and 8 is the least that gives them.
pub fn retries2_within(ms: u64) -> u32 {
    (8..=15)
        .rev()
        .find(|retries| retries2_ms(*retries) <= ms)
        .unwrap_or(8)
}

/// What a user must know of a hop besides its timeout; `None` where probes work.
pub fn remark(hop: &Hop) -> Option<String> {
    let Hop {
        name, timeout_ms, ..
    } = hop;
    let seconds = timeout_ms / 1000;
    match hop.probe_resets {
        Resets::Yes | Resets::Expected => None,
        Resets::NotStated => Some(format!(
            "{name}: whether a probe restarts its {seconds} s is not documented; try it before you rely on it"
        )),
        Resets::No => Some(format!(
            "{name}: no keepalive setting helps here. It answers probes itself and closes after {seconds} s \
             without data: let the application send something more often than that (an HTTP/2 or WebSocket \
             ping, gRPC keepalive, SELECT 1), or raise its idle timeout"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(within_s: Option<u64>, hops: &[u64]) -> Wanted {
        Wanted {
            detect_within_ms: within_s.map(|seconds| seconds * 1000),
            hops: hops
                .iter()
                .map(|seconds| Hop::of_timeout(&format!("{seconds}s"), seconds * 1000))
                .collect(),
        }
    }

    fn l7(name: &str) -> Hop {
        Hop {
            probe_resets: Resets::No,
            ..Hop::of_timeout(name, 60_000)
        }
    }

    #[test]
    fn plans_for_times_and_paths() {
        for (within, hops, said) in [
            (Some(90), &[350][..], "60 + 3 × 10 = 90 s"),
            (Some(90), &[], "60 + 3 × 10 = 90 s"),
            (None, &[350], "250 + 3 × 30 = 340 s"),
            (Some(3600), &[350, 900], "250 + 3 × 30 = 340 s"),
            (Some(30), &[350], "21 + 3 × 3 = 30 s"),
            (Some(10), &[], "7 + 3 × 1 = 10 s"),
            (Some(4), &[], "1 + 3 × 1 = 4 s"),
            (Some(3), &[], "1 + 2 × 1 = 3 s"),
            (Some(2), &[], "1 + 1 × 1 = 2 s"),
            (None, &[3], "1 + 1 × 1 = 2 s"),
            (Some(1_000_000), &[], "32760 + 3 × 75 = 32985 s"),
        ] {
            assert_eq!(wanted(within, hops).plan().unwrap().to_string(), said);
        }
    }

    #[test]
    fn every_plan_satisfies_what_was_asked_for() {
        for within in 2..5000 {
            for path in [3, 4, 10, 59, 60, 61, 240, 350, 432_000] {
                let plan = wanted(Some(within), &[path]).plan().unwrap();
                assert!(plan.detect_s() <= within, "{within}: {plan}");
                assert!(plan.detect_s() < path, "{path}: {plan}");
                assert!(plan.idle_s >= 1 && plan.intvl_s >= 1 && plan.cnt >= 1);
                // Only the rounding makes it shorter than it could be.
                let budget = within.min(path - 1);
                assert!(plan.detect_s() + 10 > budget, "{within} {path}: {plan}");
            }
        }
    }

    #[test]
    fn what_no_plan_satisfies_is_refused_in_a_line() {
        let refusal = |wanted: &Wanted| wanted.plan().unwrap_err().to_string();
        assert!(refusal(&wanted(Some(1), &[])).contains("2s or more"));
        assert!(refusal(&wanted(Some(90), &[2])).contains("--path 2s"));
        assert!(refusal(&wanted(None, &[])).contains("--detect-within"));
        let only = Wanted {
            detect_within_ms: None,
            hops: vec![l7("aws-alb")],
        };
        assert!(refusal(&only).starts_with("--path aws-alb: "));
        let both = Wanted {
            detect_within_ms: Some(90_000),
            ..only
        };
        assert_eq!(both.plan().unwrap().detect_s(), 90);
        assert!(remark(&both.hops[0]).is_some());
    }

    #[test]
    fn retransmission_is_bounded_by_the_largest_count_that_fits() {
        // RFC 1122's hundred seconds are the least, whatever was asked for.
        assert_eq!(retries2_within(90_000), 8);
        assert!(retries2_ms(8) >= 100_000);
        for within in [250_000, 400_000, 600_000, 900_000] {
            let retries = retries2_within(within);
            assert!(retries2_ms(retries) <= within && retries2_ms(retries + 1) > within);
        }
        assert_eq!(retries2_within(u64::MAX), 15);
    }
}
