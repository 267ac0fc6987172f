//! The moment of a record, as text.

use jiff::Timestamp;

use crate::event::Time;

/// The same moment for the calendar; a clock beyond its range (year 9999) stops at its end.
pub(super) fn calendar(time: Time) -> Timestamp {
    Timestamp::from_nanosecond(time.0).unwrap_or(if time.0 < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
