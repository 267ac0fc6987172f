//! The kernel's clocks, as numbers.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// A clock's time, nanoseconds.
pub fn now_ns(clock: ClockId) -> u64 {
    u64::try_from(duration(clock_gettime(clock)).as_nanos()).unwrap_or(u64::MAX)
}

/// Does something, and says how much CPU time this thread used for it.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let used = || duration(clock_gettime(ClockId::ThreadCPUTime));
    let before = used();
    let result = work();
    (result, used().saturating_sub(before))
}

/// None of these clocks is ever negative.
fn duration(time: Timespec) -> Duration {
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
