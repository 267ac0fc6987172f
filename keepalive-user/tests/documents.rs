//! The commands of the documents. Each must be accepted, and one that is shown with its output must print exactly that.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

use std::{fs, path::PathBuf};

use katrace::cli::{self, UsageError};

/// The README, and every page of docs/ for users.
fn documents() -> Vec<(PathBuf, String)> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let pages = fs::read_dir(format!("{root}/docs")).unwrap();
    let pages = pages.map(|entry| entry.unwrap().path());
    let mut found = vec![PathBuf::from(format!("{root}/README.md"))];
    found.extend(pages.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    found.into_iter().map(text).collect()
}

/// The lines of a page's code blocks, indented ones and fenced ones, without their margin.
fn code(page: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            lines.push(line.trim());
        }
    }
    lines
}

/// The words of a command line that runs katrace; `None` for any other line.
fn command(line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let line = line.strip_prefix("sudo ").unwrap_or(line);
    if line != "katrace" && !line.starts_with("katrace ") {
        return None;
    }
    // What follows is the shell's: a remark, a pipe, a file.
    let end = [" #", "   ", " | ", " > ", " && ", " 2>"]
        .into_iter()
        .filter_map(|mark| line.find(mark))
        .min();
    let line = &line[..end.unwrap_or(line.len())];
    Some(
        line.split_whitespace()
            .map(|word| word.replace('\'', ""))
            .collect(),
    )
}

#[test]
fn every_command_of_the_documents_is_understood() {
    let mut commands = 0;
    for (path, text) in documents() {
        for line in code(&text) {
            let Some(words) = command(line) else { continue };
            commands += 1;
            match cli::parse(words) {
                // A process, namespace or cgroup that an example names need not exist on this host.
                Ok(_)
                | Err(
                    UsageError::NoProcess { .. }
                    | UsageError::Thread { .. }
                    | UsageError::Cgroup { .. }
                    | UsageError::NotCgroup2 { .. },
                ) => {}
                Err(refusal) => panic!("{}: {line}\n{refusal}", path.display()),
            }
        }
    }
    assert!(commands >= 10, "only {commands} commands were found");
}

#[test]
fn a_command_is_told_from_what_stands_beside_it() {
    let words = |line: &str| command(line).map(|words| words.join(" "));
    let bare = |line: &str| words(line).unwrap();
    assert_eq!(bare("katrace"), "katrace");
    assert_eq!(bare("$ sudo katrace -c 'a*' -D 1"), "katrace -c a* -D 1");
    assert_eq!(bare("katrace -d 5m   five minutes"), "katrace -d 5m");
    assert_eq!(bare("katrace --json | jq ."), "katrace --json");
    assert_eq!(bare("katrace --stats > events.txt  # x"), "katrace --stats");
    assert_eq!(words("katrace: no such process"), None);
    assert_eq!(words("cargo xtask run -- katrace"), None);
    assert_eq!(code("a\n```\n$ katrace\n```\n    b\n"), ["$ katrace", "b"]);
}

/// Blocks fenced as `console`, in tests/cmd/ and in the documents, are run as they stand.
#[test]
fn commands_print_what_is_shown_beside_them() {
    trycmd::TestCases::new()
        .case("tests/cmd/*.md")
        .case("../README.md")
        .case("../docs/*.md");
}
