//! What katrace writes to stderr besides the banner and the summary.

use std::{
    fmt::Arguments,
    io::{self, Write},
};

use crate::error::Error;

/// Writes one line to stderr. If stderr is closed, the line is lost.
pub fn say(line: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes why a command ended badly: a line with the cause, a line with what to do about it, and the
/// verifier's log where the verifier refused a program.
pub fn explain(error: &Error) {
    say(format_args!("katrace: {error}"));
    if let Error::Host(host) = error {
        say(format_args!("katrace: {}", host.advice()));
        if let Some(log) = host.verifier_log() {
            say(format_args!("{log}"));
        }
    }
}
