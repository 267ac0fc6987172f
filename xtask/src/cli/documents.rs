//! The documents name commands of xtask: each must be one.

use std::fs;
use std::path::PathBuf;

use clap::Parser;

use super::Cli;
use crate::workspace;

/// Every Markdown page that people are pointed to.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/dev", "keepalive-user/tests/fixtures/btf"] {
        let Ok(entries) = fs::read_dir(workspace::root().join(folder)) else {
            continue;
        };
        let paths = entries.map(|entry| entry.unwrap().path());
        pages.extend(paths.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    }
    pages
}

/// The words of a line that begins with `cargo xtask`, without the remark that stands beside it.
fn command(line: &str) -> Option<Vec<&str>> {
    let line = line.trim_start();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let rest = line.strip_prefix("cargo xtask ")?;
    let end = ["   ", " #", " > ", " | "]
        .into_iter()
        .filter_map(|mark| rest.find(mark))
        .min();
    Some(
        rest[..end.unwrap_or(rest.len())]
            .split_whitespace()
            .collect(),
    )
}

#[test]
fn every_command_of_the_documents_is_one() {
    let mut commands = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let code = text.lines().filter(|line| line.starts_with("    "));
        for words in code.filter_map(command) {
            commands += 1;
            // Capitals stand for what the reader puts there.
            if words
                .iter()
                .any(|word| word.chars().all(|c| c.is_ascii_uppercase()))
            {
                continue;
            }
            let line = ["cargo xtask"].into_iter().chain(words.iter().copied());
            if let Err(refusal) = Cli::try_parse_from(line) {
                panic!("{}: {}\n{refusal}", page.display(), words.join(" "));
            }
        }
    }
    assert!(commands > 0, "no command was found");
}

#[test]
fn a_command_is_told_from_its_remark() {
    assert_eq!(
        command("    cargo xtask test --kernel 6.12    # one kernel"),
        Some(vec!["test", "--kernel", "6.12"])
    );
    assert_eq!(command("    cargo build"), None);
}
