//! What stdout is, as far as a table cares.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal},
};

use jiff::tz::TimeZone;

/// Columns a line may use where no terminal says otherwise: every line stays under 100.
const COLUMNS: usize = 99;

/// The screen a table is drawn on, and the clock of whoever reads it.
#[derive(Clone, Debug)]
pub struct Screen {
    pub colour: bool,
    /// Columns a line should not exceed.
    pub columns: usize,
    /// Lines of a screenful; `None` = no screen, so the header stands once at the top.
    pub rows: Option<usize>,
    pub zone: TimeZone,
}

impl Screen {
    /// A pipe or a file, in UTC.
    pub fn plain() -> Self {
        Self {
            colour: false,
            columns: COLUMNS,
            rows: None,
            zone: TimeZone::UTC,
        }
    }

    /// This process's stdout. Colour only on a terminal and without `NO_COLOR`; local time, or UTC where the host does not tell its zone.
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

/// no-color.org: any value but the empty one forbids colour.
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
