//! The documents: every relative link leads somewhere, and prose wraps at 120 columns.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

const COLUMNS: usize = 120;
/// Where documents are, from the root of the repository. Folders below them are not searched.
const FOLDERS: [&str; 5] = [".", "docs", "docs/dev", ".github", ".github/ISSUE_TEMPLATE"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() >= 10, "only {found:?}");
    found
}

/// The lines that are neither in a fenced code block nor indented as code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence && !line.starts_with("    ")
    })
}

/// What stands between `](` and `)`, without addresses of other sites.
fn links(text: &str) -> Vec<String> {
    let joined = prose(text).collect::<Vec<_>>().join("\n");
    let targets = joined.split("](").skip(1);
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .filter(|target| !target.contains("://"))
        .collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// What is wrong with a link, if anything.
fn broken(document: &Path, target: &str) -> Option<String> {
    let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        document.to_owned()
    } else {
        document.parent()?.join(file)
    };
    let what = format!("{}: {target}", document.display());
    if !path.exists() {
        return Some(format!("{what}: no such file"));
    }
    if fragment.is_empty() {
        return None;
    }
    let text = fs::read_to_string(&path).unwrap();
    let mut headings = prose(&text).filter(|line| line.starts_with('#'));
    let found = headings.any(|heading| anchor(heading) == fragment);
    (!found).then(|| format!("{what}: no such heading"))
}

fn too_long(line: &str) -> bool {
    !line.starts_with('|') && line.chars().count() > COLUMNS
}

#[test]
fn every_link_leads_somewhere() {
    let mut faults = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        faults.extend(
            links(&text)
                .iter()
                .filter_map(|target| broken(&document, target)),
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn prose_wraps_at_120_columns() {
    let mut faults = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let long = prose(&text).filter(|line| too_long(line));
        faults.extend(long.map(|line| format!("{}: {line}", document.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn faults_are_found() {
    let readme = root().join("README.md");
    let text =
        "[a](docs/events.md) [b](docs/nowhere.md)\n```\n[c](no.md)\n```\n[d](https://e.test/)";
    assert_eq!(links(text), ["docs/events.md", "docs/nowhere.md"]);
    assert_eq!(broken(&readme, "docs/events.md"), None);
    assert!(broken(&readme, "docs/nowhere.md").is_some());
    assert!(broken(&readme, "docs/events.md#no-such-heading").is_some());
    assert_eq!(broken(&readme, "docs/events.md#socket-events"), None);
    assert!(too_long(&"ä".repeat(121)));
    assert!(!too_long(&"ä".repeat(120)));
}
