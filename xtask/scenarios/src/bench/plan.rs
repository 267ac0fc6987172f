//! How much is measured.

use std::time::Duration;

use super::Size;

pub struct Plan {
    /// How often the tools take turns.
    pub rounds: usize,
    /// Sockets behind most rows; each probes once a second.
    pub sockets: usize,
    /// How long each tool watches them.
    pub window: Duration,
    /// Starts timed of each tool in each round.
    pub starts: usize,
    /// Sockets for the highest rate, each probing once a second.
    pub rates: &'static [usize],
    /// Sockets that share one rate of probes: so many, the first of these probing each second.
    pub growth: [usize; 3],
    pub growth_rounds: usize,
    /// Processes with sockets of their own, and how many each.
    pub processes: usize,
    pub sockets_each: usize,
    /// How long each backend is watched doing nothing.
    pub idle: Duration,
}

impl Plan {
    pub fn of(size: Size, rounds: Option<usize>) -> Self {
        match size {
            Size::Small => Self {
                rounds: rounds.unwrap_or(2),
                sockets: 4_000,
                window: Duration::from_secs(2),
                starts: 2,
                rates: &[4_000, 8_000],
                growth: [1_000, 2_000, 4_000],
                growth_rounds: 1,
                processes: 50,
                sockets_each: 20,
                idle: Duration::from_secs(4),
            },
            Size::Full => Self {
                rounds: rounds.unwrap_or(3),
                sockets: 4_000,
                window: Duration::from_secs(8),
                starts: 3,
                rates: &[4_000, 8_000, 16_000, 32_000, 48_000],
                growth: [1_000, 10_000, 50_000],
                growth_rounds: 2,
                processes: 1_000,
                sockets_each: 100,
                idle: Duration::from_secs(60),
            },
        }
    }
}
