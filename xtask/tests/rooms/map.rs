//! The table of rooms in docs/architecture.md, which is the declaration of their order, and the files that documents
//! name.

use std::path::{Path, PathBuf};

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Room {
    pub name: String,
    /// Folders and files, as paths in the repository.
    pub places: Vec<PathBuf>,
}

impl Room {
    pub fn holds(&self, file: &Path) -> bool {
        self.places.iter().any(|place| file.starts_with(place))
    }
}

/// The rows below the header `| room | folder or file | its one job |`, in their order.
pub fn rooms(document: &str) -> Vec<Room> {
    let lines = document.lines();
    lines
        .skip_while(|line| !line.starts_with("| room |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| {
            let mut cells = line.split('|').skip(1).map(str::trim);
            let (name, places) = (cells.next()?, cells.next()?);
            Some(Room {
                name: name.trim_matches('`').to_owned(),
                places: quoted(places).flat_map(expanded).collect(),
            })
        })
        .collect()
}

/// Paths in backticks: words with a slash, or with the ending of a source file. Patterns and placeholders are no paths.
pub fn named_files(document: &str) -> Vec<PathBuf> {
    let endings = [".rs", ".md", ".toml"];
    let is_path = |word: &&str| {
        let ends = endings.iter().any(|ending| word.ends_with(ending));
        let plain = word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-./{},".contains(c));
        plain && !word.starts_with(['/', '-', '.']) && (word.contains('/') || ends)
    };
    quoted(document)
        .filter(is_path)
        .flat_map(expanded)
        .collect()
}

/// What stands between backticks, line by line; blocks of code are left out.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    let lines = text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !is_fence && !in_block && !line.starts_with("    ")
    });
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn expanded(word: &str) -> Vec<PathBuf> {
    let braces = word
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match braces {
        Some((before, (inside, after))) => inside
            .split(',')
            .flat_map(|one| expanded(&format!("{before}{}{after}", one.trim())))
            .collect(),
        None => vec![PathBuf::from(word)],
    }
}
