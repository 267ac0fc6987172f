//! What is wrong with the imports: against the order of rooms, or in a circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{map::Room, tree::Import};

/// Imports from a room further down, a line each. Files of no room may import from all and be imported by none.
pub fn against_the_order(rooms: &[Room], imports: &[Import]) -> Vec<String> {
    let place = |file: &Path| {
        let mut found = rooms.iter().enumerate();
        let found = found.find(|(_, room)| room.holds(file));
        found.map_or((rooms.len(), "no room"), |(at, room)| (at, &room.name))
    };
    imports
        .iter()
        .filter_map(|import| {
            let ((from, whose), (to, of)) = (place(&import.from), place(&import.to));
            (from < to).then(|| {
                format!(
                    "{}:{} ({whose}) imports {} from {} ({of}), which stands below it",
                    import.from.display(),
                    import.line,
                    import.path,
                    import.to.display()
                )
            })
        })
        .collect()
}

/// Groups of files that import one another, each as the shortest circle in it. A file and the submodules declared in it
/// are one unit to Rust (what is private to it, they may use), so a submodule that imports from its own parents closes
/// no circle.
pub fn circles(imports: &[Import]) -> Vec<String> {
    let mut next: BTreeMap<&Path, Vec<&Import>> = BTreeMap::new();
    for import in imports {
        if !is_below(&import.from, &import.to) {
            next.entry(&import.from).or_default().push(import);
        }
    }
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for start in next.keys() {
        if told.contains(*start) {
            continue;
        }
        if let Some(circle) = shortest(&next, start) {
            told.extend(circle.iter().map(|import| import.from.as_path()));
            let lines: Vec<_> = circle
                .iter()
                .map(|import| {
                    let (from, to) = (import.from.display(), import.to.display());
                    format!("{from}:{} imports {} from {to}", import.line, import.path)
                })
                .collect();
            found.push(lines.join("\n    "));
        }
    }
    found
}

/// The shortest way from a file back to itself.
fn shortest<'a>(
    next: &BTreeMap<&'a Path, Vec<&'a Import>>,
    start: &'a Path,
) -> Option<Vec<&'a Import>> {
    let mut reached: BTreeMap<&Path, &Import> = BTreeMap::new();
    let mut edge = vec![start];
    while !edge.is_empty() {
        let mut further = Vec::new();
        for file in edge {
            for &import in next.get(file).into_iter().flatten() {
                if import.to == start {
                    let mut circle = vec![import];
                    let mut at = file;
                    while at != start {
                        let before = reached[at];
                        circle.push(before);
                        at = &before.from;
                    }
                    circle.reverse();
                    return Some(circle);
                }
                if !reached.contains_key(import.to.as_path()) {
                    reached.insert(&import.to, import);
                    further.push(import.to.as_path());
                }
            }
        }
        edge = further;
    }
    None
}

/// Whether `file` is a submodule, at any depth, of the module in `parent`.
fn is_below(file: &Path, parent: &Path) -> bool {
    let folder = match parent.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") => parent.parent().map(Path::to_owned),
        Some(_) => Some(parent.with_extension("")),
        None => None,
    };
    folder.is_some_and(|folder: PathBuf| file != parent && file.starts_with(folder))
}
