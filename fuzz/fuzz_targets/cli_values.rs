//! Values of the command line: each is understood, or refused in one line that is safe for a terminal.

#![no_main]

use katrace::cli::{self, Request};
use libfuzzer_sys::fuzz_target;

/// Commands whose last word is a value. Left out are the flags that ask the host about their value.
const COMMANDS: [&[&str]; 20] = [
    &["-L"],
    &["-D"],
    &["-a"],
    &["-d"],
    &["-n"],
    &["-c"],
    &["-e"],
    &["-o"],
    &["--attach"],
    &["--scan"],
    &["--ring-size"],
    &["sockets", "--sort"],
    &["sockets", "--watch"],
    &["sockets", "--reader"],
    &["audit", "--plan", "--path"],
    &["audit", "--plan", "--detect-within"],
    &["audit", "--idle"],
    &["audit", "--ignore"],
    &["audit", "--fail-on"],
    &["-N"],
];

fuzz_target!(|data: &[u8]| {
    let [command, value @ ..] = data else {
        return;
    };
    let Ok(value) = str::from_utf8(value) else {
        return;
    };
    let command = COMMANDS[usize::from(*command) % COMMANDS.len()];
    let words = std::iter::once("katrace").chain(command.iter().copied());
    match cli::parse(words.chain([value])) {
        // Whatever the globs are, a name can be compared with them.
        Ok(Request::Trace(settings)) => {
            if let Some(globs) = &settings.filters.comms {
                let _ = globs.is_match("postgres");
            }
        }
        Ok(_) => {}
        Err(refusal) => {
            let line = refusal.to_string();
            assert!(!line.is_empty());
            assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        }
    }
});
