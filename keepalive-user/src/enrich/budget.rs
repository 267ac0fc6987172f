//! How much of a CPU the look-ups of owners may use.
//!
//! Other processes decide how many descriptors there are to read and how often. The budget decides how
//! much of that is done.

use std::time::{Duration, Instant};

/// On average, look-ups use at most this fraction of one CPU: 1/20.
const SHARE: u32 = 20;
/// CPU time that may be used at once at the start and after a quiet time.
const BURST: Duration = Duration::from_millis(500);

/// CPU time that is earned slowly and spent by reading.
#[derive(Debug)]
pub struct Budget {
    spare: Duration,
    /// CPU time that was spent beyond the budget and is not earned back yet.
    debt: Duration,
    as_of: Instant,
}

impl Budget {
    /// A full budget.
    pub fn new(now: Instant) -> Self {
        Self {
            spare: BURST,
            debt: Duration::ZERO,
            as_of: now,
        }
    }

    /// Takes away what reading has cost.
    pub fn spend(&mut self, cost: Duration, now: Instant) {
        self.earn(now);
        let from_spare = cost.min(self.spare);
        self.spare -= from_spare;
        self.debt += cost - from_spare;
    }

    /// When reading may go on: at once unless more was spent than there was.
    pub fn ready_at(&self, now: Instant) -> Instant {
        now.max(self.as_of + self.debt * SHARE)
    }

    /// Whether reading may go on at once.
    pub fn is_ready(&self, now: Instant) -> bool {
        self.ready_at(now) <= now
    }

    fn earn(&mut self, now: Instant) {
        let earned = now.saturating_duration_since(self.as_of) / SHARE;
        self.as_of = self.as_of.max(now);
        let to_debt = earned.min(self.debt);
        self.debt -= to_debt;
        self.spare = BURST.min(self.spare + (earned - to_debt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_is_free_and_a_debt_is_waited_for() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        budget.spend(BURST, start);
        assert!(budget.is_ready(start));
        budget.spend(ms(10), start);
        assert_eq!(budget.ready_at(start), start + ms(200));
        assert!(!budget.is_ready(start + ms(199)));
        assert!(budget.is_ready(start + ms(200)));
    }

    #[test]
    fn in_the_mean_no_more_than_the_share_is_spent() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let (mut now, mut spent) = (start, Duration::ZERO);
        while now < start + Duration::from_secs(100) {
            now = budget.ready_at(now);
            budget.spend(ms(7), now);
            spent += ms(7);
        }
        let bound = BURST + (now - start) / SHARE + ms(7);
        assert!(spent <= bound, "{spent:?} of {bound:?}");
        assert!(spent >= bound - ms(50), "{spent:?} of {bound:?}");
    }

    #[test]
    fn a_quiet_time_earns_one_burst_and_no_more() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let later = start + Duration::from_secs(3600);
        budget.spend(BURST + ms(1), later);
        assert_eq!(budget.ready_at(later), later + ms(20));
    }
}
