//! What a table needs to know of stdout.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal},
};

use jiff::tz::TimeZone;

/// How many columns a line may take where stdout is no terminal: every line stays under 100.
const COLUMNS: usize = 99;

/// The screen that a table is drawn on, and the time zone of its reader.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Whether to use colours.
    pub colour: bool,
    /// How many columns a line may take.
    pub columns: usize,
    /// How many lines the screen has. `None` = no screen, so the header is written once.
    pub rows: Option<usize>,
    /// The time zone of the times shown.
    pub zone: TimeZone,
}

impl Screen {
    /// A pipe or a file: no colours, times in UTC.
    pub fn plain() -> Self {
        Self {
            colour: false,
            columns: COLUMNS,
            rows: None,
            zone: TimeZone::UTC,
        }
    }

    /// This process's stdout. Colours need a terminal and no `NO_COLOR`. Times are local, or UTC where
    /// the host has no time zone set.
    pub fn of_stdout() -> Self {
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        if !io::stdout().is_terminal() {
            return Self {
                zone,
                ..Self::plain()
            };
        }
        let (columns, rows) = match rustix::termios::tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        };
        Self {
            colour: wants_colour(env::var_os("NO_COLOR").as_deref()),
            columns: columns.into(),
            rows: Some(rows.into()),
            zone,
        }
    }
}

/// `NO_COLOR` forbids colours unless it is empty (no-color.org).
fn wants_colour(no_color: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_forbids_colour_unless_it_is_empty() {
        assert!(wants_colour(None));
        assert!(wants_colour(Some(OsStr::new(""))));
        assert!(!wants_colour(Some(OsStr::new("1"))));
        assert!(!wants_colour(Some(OsStr::new("0"))));
    }

    #[test]
    fn a_pipe_has_neither_colour_nor_screenfuls() {
        let screen = Screen::plain();
        assert!(!screen.colour && screen.rows.is_none());
        assert!(screen.columns < 100);
    }
}
