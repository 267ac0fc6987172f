//! A refusal is one line that is safe for a terminal, whatever was typed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

use katrace::{cli, sinks::sanitize::is_harmful};

/// Every flag that takes a value, with the command it belongs to.
const FLAGS: [&[&str]; 22] = [
    &["-p"],
    &["-c"],
    &["-L"],
    &["-D"],
    &["-a"],
    &["-N"],
    &["--cgroup"],
    &["-e"],
    &["-d"],
    &["-n"],
    &["-o"],
    &["--attach"],
    &["--scan"],
    &["--ring-size"],
    &["sockets", "--sort"],
    &["sockets", "--watch"],
    &["sockets", "--reader"],
    &["audit", "--path"],
    &["audit", "--paths"],
    &["audit", "--detect-within"],
    &["audit", "--ignore"],
    &["audit", "--fail-on"],
];

#[test]
fn a_hostile_value_is_refused_in_one_harmless_line() {
    let hostile = [
        "\x1b[31m",
        "a\nb",
        "[b-\x0e]",
        "[\u{202e}-a]",
        "1\u{9b}2s",
        "/\u{200b}",
    ];
    for flag in FLAGS {
        for value in hostile {
            let words = ["katrace"].into_iter().chain(flag.iter().copied());
            let refusal = match cli::parse(words.chain([value])) {
                Err(refusal) => refusal.to_string(),
                // A glob may be of any characters.
                Ok(_) => {
                    assert_eq!(flag, ["-c"], "{value:?}");
                    continue;
                }
            };
            assert!(!refusal.contains(is_harmful), "{flag:?}: {refusal:?}");
        }
    }
}
