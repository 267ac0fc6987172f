//! Numbers in sentences.

use std::fmt;

/// Milliseconds as people say them in a sentence about settings: exact where they are whole seconds.
#[derive(Clone, Copy, Debug)]
pub struct Time(pub u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOUR_MS: u64 = 3_600_000;
        match self.0 {
            ms if ms < 1000 => write!(f, "{ms} ms"),
            ms if ms < 10_000 && ms % 1000 >= 100 => {
                write!(f, "{}.{} s", ms / 1000, ms % 1000 / 100)
            }
            ms if ms <= 600_000 => write!(f, "{} s", ms / 1000),
            ms if ms < 2 * HOUR_MS => write!(f, "{} min", ms / 60_000),
            ms if ms < 48 * HOUR_MS => match ms % HOUR_MS / 60_000 {
                0 => write!(f, "{} h", ms / HOUR_MS),
                minutes => write!(f, "{} h {minutes} min", ms / HOUR_MS),
            },
            ms => write!(f, "{} days", ms / (24 * HOUR_MS)),
        }
    }
}

/// A count of bytes with its noun.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_sentences() {
        for (ms, said) in [
            (200, "200 ms"),
            (2000, "2 s"),
            (6700, "6.7 s"),
            (350_000, "350 s"),
            (924_600, "15 min"),
            (7_200_000, "2 h"),
            (7_875_000, "2 h 11 min"),
            (432_000_000, "5 days"),
        ] {
            assert_eq!(Time(ms).to_string(), said);
        }
    }
}
