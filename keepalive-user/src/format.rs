//! How people read a number: lengths of time and counts of bytes.
//!
//! One rule for a length of time, wherever katrace prints one:
//!
//! | length                 | shown in                      | for example          |
//! |------------------------|-------------------------------|----------------------|
//! | below 1 ms             | microseconds                  | `412 µs`             |
//! | below 1 s              | milliseconds                  | `3.2 ms`, `400 ms`   |
//! | below 2 min            | seconds                       | `5.1 s`, `90 s`      |
//! | below 2 h              | minutes                       | `2.5 min`, `15 min`  |
//! | below 2 days           | hours and minutes             | `2 h`, `2 h 11 min`  |
//! | from 2 days on         | days                          | `2.5 days`, `5 days` |
//!
//! Below ten units there is one decimal, unless it is zero; from ten units on there is none. The
//! value is always rounded to the nearest one that can be shown, never cut off, so it differs from
//! the true one by at most half of the last unit shown.
//!
//! One exception: a whole number of seconds below ten minutes stays in seconds where minutes with
//! one decimal would not be exact. Such a value is in most cases a setting that somebody made, and
//! `350 s` is recognised where `5.8 min` is not.

use std::fmt;

const MILLISECOND: u128 = 1000;
const SECOND: u128 = 1000 * MILLISECOND;
const MINUTE: u128 = 60 * SECOND;
const HOUR: u128 = 60 * MINUTE;
const DAY: u128 = 24 * HOUR;

/// A length of time in whole milliseconds; its `Display` follows the rule of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Millis(pub u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0 ms"),
            ms => length(u128::from(ms) * MILLISECOND, f),
        }
    }
}

/// A length of time in whole microseconds; its `Display` follows the rule of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Micros(pub u64);

impl Micros {
    /// The nearest whole microsecond. A negative number becomes zero, one beyond the range the
    /// largest.
    pub fn from_ms(ms: f64) -> Self {
        // A cast from a float stops at the ends of the range.
        Self((ms * 1e3).round() as u64)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        length(self.0.into(), f)
    }
}

/// A count of bytes with its noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// Writes a length of time given in microseconds.
///
/// Each range is left once the rounded value reaches its end: 999.7 ms is
/// written `1 s`, and 119.7 s is written `2 min`.
fn length(us: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_exact_in_seconds_only =
        us.is_multiple_of(SECOND) && !us.is_multiple_of(MINUTE / 10) && us < 10 * MINUTE;
    if us < MILLISECOND {
        write!(f, "{us} µs")
    } else if nearest(us, MILLISECOND) < 1000 {
        with_tenth(us, MILLISECOND, "ms", f)
    } else if nearest(us, SECOND) < 120 || is_exact_in_seconds_only {
        with_tenth(us, SECOND, "s", f)
    } else if nearest(us, MINUTE) < 120 {
        with_tenth(us, MINUTE, "min", f)
    } else if nearest(us, MINUTE) < 48 * 60 {
        let minutes = nearest(us, MINUTE);
        match minutes % 60 {
            0 => write!(f, "{} h", minutes / 60),
            rest => write!(f, "{} h {rest} min", minutes / 60),
        }
    } else {
        with_tenth(us, DAY, "days", f)
    }
}

/// Writes `5.1 s`, `5 s` or `51 s`: one decimal below ten, if it is not zero.
fn with_tenth(us: u128, unit: u128, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let tenths = nearest(us, unit / 10);
    match (tenths / 10, tenths % 10) {
        (10.., _) => write!(f, "{} {name}", nearest(us, unit)),
        (whole, 0) => write!(f, "{whole} {name}"),
        (whole, tenth) => write!(f, "{whole}.{tenth} {name}"),
    }
}

/// How many units are nearest to this length; a half is rounded up.
fn nearest(us: u128, unit: u128) -> u128 {
    (us + unit / 2) / unit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_of_time_as_people_read_them() {
        for (ms, shown) in [
            (0, "0 ms"),
            (1, "1 ms"),
            (200, "200 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (5123, "5.1 s"),
            (6770, "6.8 s"),
            (9950, "10 s"),
            (59_960, "60 s"),
            (90_000, "90 s"),
            (119_499, "119 s"),
            (119_700, "2 min"),
            (120_000, "2 min"),
            (135_000, "135 s"),
            (150_000, "2.5 min"),
            (150_004, "2.5 min"),
            (300_000, "5 min"),
            (350_000, "350 s"),
            (597_700, "10 min"),
            (601_000, "10 min"),
            (924_600, "15 min"),
            (7_169_999, "119 min"),
            (7_200_000, "2 h"),
            (7_875_000, "2 h 11 min"),
            (172_769_999, "47 h 59 min"),
            (172_770_000, "2 days"),
            (216_000_000, "2.5 days"),
            (432_000_000, "5 days"),
            (950_400_000, "11 days"),
            (u64::MAX, "213503982335 days"),
        ] {
            assert_eq!(Millis(ms).to_string(), shown, "{ms} ms");
        }
        for (ms, shown) in [
            (-1.0, "0 µs"),
            (0.0, "0 µs"),
            (0.412_345, "412 µs"),
            (0.999_6, "1 ms"),
            (3.21, "3.2 ms"),
            (9.96, "10 ms"),
            (45.67, "46 ms"),
            (1450.0, "1.5 s"),
            (f64::NAN, "0 µs"),
        ] {
            assert_eq!(Micros::from_ms(ms).to_string(), shown, "{ms} ms");
        }
        assert_eq!(Bytes(1).to_string(), "1 byte");
        assert_eq!(Bytes(0).to_string(), "0 bytes");
    }

    /// The length that a text shows, and its last unit, in microseconds.
    fn read(shown: &str) -> (u128, u128) {
        let words: Vec<&str> = shown.split(' ').collect();
        let (mut length, mut last) = (0, 0);
        for pair in words.chunks(2) {
            let unit = match pair[1] {
                "µs" => 1,
                "ms" => MILLISECOND,
                "s" => SECOND,
                "min" => MINUTE,
                "h" => HOUR,
                "days" => DAY,
                other => panic!("unit {other} in {shown}"),
            };
            let (whole, tenth) = pair[0].split_once('.').unwrap_or((pair[0], ""));
            length += whole.parse::<u128>().unwrap() * unit;
            last = unit;
            if !tenth.is_empty() {
                assert_eq!(tenth.len(), 1, "{shown}");
                length += tenth.parse::<u128>().unwrap() * unit / 10;
                last = unit / 10;
            }
        }
        (length, last)
    }

    /// Lengths of every magnitude: an even choice among 64-bit numbers would hardly ever be short.
    fn magnitudes() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64_u32).prop_map(|(bits, shift)| bits >> shift)
    }

    proptest! {
        #[test]
        fn what_is_shown_is_at_most_half_of_its_last_unit_away(us in magnitudes()) {
            let (shown, last) = read(&Micros(us).to_string());
            prop_assert!(shown.abs_diff(us.into()) * 2 <= last, "{us} µs as {}", Micros(us));
        }

        #[test]
        fn whole_seconds_below_ten_minutes_are_shown_exactly(seconds in 1..=600_u64) {
            let shown = Millis(seconds * 1000).to_string();
            prop_assert_eq!(read(&shown).0, u128::from(seconds) * SECOND, "{}", shown);
        }
    }
}
