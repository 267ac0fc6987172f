//! From the kernel half's clock, `CLOCK_MONOTONIC`, to UTC.

use rustix::time::{ClockId, clock_gettime};

use crate::event::Time;

/// The difference between the two clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Unix time minus monotonic time, nanoseconds.
    offset_ns: i128,
}

impl Clock {
    /// Reads both clocks. To be repeated now and then, because the wall clock may be set.
    pub fn now() -> Self {
        Self {
            offset_ns: read(ClockId::Realtime) - read(ClockId::Monotonic),
        }
    }

    /// A clock whose monotonic zero is this Unix time, in nanoseconds.
    pub const fn with_offset(offset_ns: i128) -> Self {
        Self { offset_ns }
    }

    /// The time of a moment of `CLOCK_MONOTONIC`, in nanoseconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use katrace::{decode::Clock, event::Time};
    ///
    /// let booted = Clock::with_offset(1_700_000_000_000_000_000);
    /// assert_eq!(booted.at(5), Time(1_700_000_000_000_000_005));
    /// ```
    pub const fn at(&self, monotonic_ns: u64) -> Time {
        Time(self.offset_ns + monotonic_ns as i128)
    }

    /// The time now.
    pub fn time(&self) -> Time {
        Time(self.offset_ns + read(ClockId::Monotonic))
    }
}

fn read(clock: ClockId) -> i128 {
    let now = clock_gettime(clock);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}
