//! How far a reading is, on stderr, for whoever waits longer than a moment.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// What takes longer says how far it is,
const AFTER: Duration = Duration::from_secs(2);
/// this often.
const EVERY: Duration = Duration::from_millis(500);
/// Sockets between two looks at the clock.
const GRAIN: usize = 256;

/// One line that grows, and is gone at the end.
pub struct Progress {
    shown: bool,
    seen: usize,
    began: Instant,
    told: Option<Instant>,
}

impl Progress {
    /// Starts the clock; nothing is shown where `wanted` is false or stderr is no terminal.
    pub fn start(wanted: bool) -> Self {
        Self {
            shown: wanted && io::stderr().is_terminal(),
            seen: 0,
            began: Instant::now(),
            told: None,
        }
    }

    /// One more socket.
    pub fn step(&mut self) {
        self.seen += 1;
        if !self.shown || !self.seen.is_multiple_of(GRAIN) {
            return;
        }
        let now = Instant::now();
        let due = match self.told {
            None => now - self.began > AFTER,
            Some(told) => now - told > EVERY,
        };
        if due {
            self.told = Some(now);
            // If stderr is closed there is nobody to tell.
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
        let is_due = match self.told {
            None => now - self.began > AFTER,
            Some(told) => now - told > EVERY,
        };
        is_due.then(|| {
            self.told = Some(now);
            format!("\rkatrace: {seen} sockets …")
        })
    }

    /// What takes the line away, if there is one.
    pub fn last_text(mut self) -> Option<&'static str> {
        self.told.take().map(|_| "\r\x1b[K")
    }

    /// Takes the line away, if there is one.
    pub fn end(&mut self) {
        if self.told.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
