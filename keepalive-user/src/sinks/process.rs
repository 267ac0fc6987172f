//! How a process is written in a table: its name, a slash, its pid.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr as _};

use super::sanitize::Escaped;

/// Appends `comm/pid` in at most `limit` columns. A name that is too long is cut; a pid never is.
pub(super) fn write(to: &mut String, comm: &str, pid: u32, limit: usize) {
    // Writing to a String cannot fail.
    let _ = write!(to, "{}", Escaped(comm));
    let digits = pid.checked_ilog10().unwrap_or(0) as usize + 1;
    let room = limit.saturating_sub(1 + digits);
    if width(to) > room {
        let mut used = 1;
        let cut = to.char_indices().find_map(|(at, c)| {
            used += c.width().unwrap_or(0);
            (used > room).then_some(at)
        });
        to.truncate(cut.unwrap_or(to.len()));
        to.push('…');
    }
    let _ = write!(to, "/{pid}");
}

/// How many columns a text without control characters takes. Nearly every text is ASCII, for which no
/// table of widths is needed.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}
