//! The time of a record, for the calendar.

use jiff::Timestamp;

use crate::event::Time;

/// The same moment as a calendar type. A time beyond its range (the year 9999) becomes the end of it.
pub(super) fn calendar(time: Time) -> Timestamp {
    Timestamp::from_nanosecond(time.0).unwrap_or(if time.0 < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
