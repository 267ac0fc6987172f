//! A line on stderr that says how far a long reading of sockets is.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// A reading that takes longer than this shows its progress.
const AFTER: Duration = Duration::from_secs(2);
/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(500);
/// The clock is read once in this many sockets.
const GRAIN: usize = 256;

/// One line with a count, which is removed at the end.
pub struct Progress {
    shown: bool,
    seen: usize,
    began: Instant,
    /// When the line was last written; `None` = not yet.
    shown_at: Option<Instant>,
}

impl Progress {
    /// Starts the clock. Nothing is ever shown if `wanted` is false or stderr is no terminal.
    pub fn start(wanted: bool) -> Self {
        Self {
            shown: wanted && io::stderr().is_terminal(),
            seen: 0,
            began: Instant::now(),
            shown_at: None,
        }
    }

    /// Counts one more socket.
    pub fn step(&mut self) {
        self.seen += 1;
        if !self.shown || !self.seen.is_multiple_of(GRAIN) {
            return;
        }
        let now = Instant::now();
        let is_due = match self.shown_at {
            None => now - self.began > AFTER,
            Some(last) => now - last > EVERY,
        };
        if is_due {
            self.shown_at = Some(now);
            // If stderr is closed, nobody can be told.
            let _ = write!(io::stderr(), "\rkatrace: {} sockets …", self.seen);
        }
    }

    /// What is to be shown of a count, for those who do not write to stderr themselves.
    pub fn text(&mut self, seen: usize) -> Option<String> {
        self.seen = seen;
        if !self.shown {
            return None;
        }
        let now = Instant::now();
        let is_due = match self.shown_at {
            None => now - self.began > AFTER,
            Some(last) => now - last > EVERY,
        };
        is_due.then(|| {
            self.shown_at = Some(now);
            format!("\rkatrace: {seen} sockets …")
        })
    }

    /// What removes the line, if there is one.
    pub fn last_text(mut self) -> Option<&'static str> {
        self.shown_at.take().map(|_| "\r\x1b[K")
    }

    /// Removes the line, if there is one.
    pub fn end(&mut self) {
        if self.shown_at.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
