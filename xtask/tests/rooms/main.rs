//! The order of rooms: which file may import from which.
//!
//! The table in docs/architecture.md declares it: a room may import from the rooms above it, never from one below. No
//! files import one another in a circle; this is checked in the scenarios too. No file and no function is too long, and
//! every file that the documents name exists.
#![allow(clippy::unwrap_used)] // Tests, as in clippy.toml; helpers of an integration test count as code there.

mod graph;
mod map;
mod paths;
mod sizes;
mod tree;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use map::Room;
use tree::Tree;

/// Where both halves begin, and what the library is called where another crate imports it.
const HALVES: [(&str, Option<&str>); 3] = [
    ("keepalive-ebpf/src/lib.rs", Some("keepalive_ebpf")),
    ("keepalive-ebpf/src/main.rs", None),
    ("keepalive-user/src/lib.rs", Some("keepalive_user")),
];
const SCENARIOS: &str = "xtask/scenarios/src/main.rs";
const MAP: &str = "docs/architecture.md";
const DOCUMENTS: [&str; 2] = ["CONTRIBUTING.md", MAP];

fn repository() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap().to_owned()
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(repository().join(path)).ok()
}

/// Parsed once for all tests.
fn halves() -> &'static Tree {
    static TREE: LazyLock<Tree> = LazyLock::new(|| {
        let mut tree = Tree::default();
        for (root, library) in HALVES {
            tree.add(Path::new(root), library, &read).unwrap();
        }
        tree
    });
    &TREE
}

fn rooms() -> Vec<Room> {
    let rooms = map::rooms(&read(Path::new(MAP)).unwrap());
    assert!(!rooms.is_empty(), "{MAP} has no table of rooms");
    rooms
}

fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn no_room_imports_from_one_below_it() {
    let found = graph::against_the_order(&rooms(), &halves().imports());
    none(&format!("against the order in {MAP}"), &found);
}

#[test]
fn no_files_import_one_another_in_a_circle() {
    none("circles", &graph::circles(&halves().imports()));
}

#[test]
fn no_scenarios_import_one_another_in_a_circle() {
    let mut tree = Tree::default();
    tree.add(Path::new(SCENARIOS), None, &read).unwrap();
    none("circles", &graph::circles(&tree.imports()));
}

#[test]
fn the_map_has_every_room_and_no_other() {
    let rooms = rooms();
    let mut wrong = Vec::new();
    for room in &rooms {
        let places = room.places.iter();
        let missing = places.filter(|place| !repository().join(place).exists());
        wrong.extend(missing.map(|place| format!("{}: no {}", room.name, place.display())));
    }
    let names: BTreeSet<_> = rooms.iter().map(|room| &room.name).collect();
    if names.len() != rooms.len() {
        wrong.push("a room stands there twice".to_owned());
    }
    for file in halves().files() {
        let is_root = HALVES.iter().any(|(root, _)| Path::new(root) == file);
        match rooms.iter().filter(|room| room.holds(&file)).count() {
            0 if is_root => {}
            1 if !is_root => {}
            count => wrong.push(format!("{} is in {count} rooms", file.display())),
        }
    }
    none(MAP, &wrong);
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let mut files = halves().files();
    for root in [
        SCENARIOS,
        "xtask/src/main.rs",
        "keepalive-ebpf/src/bin/control.rs",
        "keepalive-ebpf/src/bin/floor.rs",
    ] {
        let mut tree = Tree::default();
        tree.add(Path::new(root), None, &read).unwrap();
        files.extend(tree.files());
    }
    let found = files.iter().flat_map(|file| {
        let text = read(file).unwrap();
        sizes::too_long(file, &text)
    });
    none("too long", &found.collect::<Vec<_>>());
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let mut wrong = Vec::new();
    let roots = [
        "",
        "keepalive-ebpf/src",
        "keepalive-user/src",
        "xtask/src",
        "xtask/scenarios/src",
    ];
    let sources: Vec<_> = halves().files().into_iter().collect();
    for document in DOCUMENTS {
        let named = map::named_files(&read(Path::new(document)).unwrap());
        assert!(!named.is_empty(), "{document} names no file");
        for file in named {
            let is_there = |root: &&str| repository().join(root).join(&file).exists();
            // A bare name is short for the only file of that name.
            let is_name = file.components().count() == 1;
            let is_source = is_name && sources.iter().any(|source| source.ends_with(&file));
            if !is_source && !roots.iter().any(is_there) {
                wrong.push(format!("{document} names {}", file.display()));
            }
        }
    }
    none("no such file", &wrong);
}

mod fixtures {
    use super::*;

    const TABLE: &str = "
| room | folder or file | its one job |
|---|---|---|
| low | `src/low.rs` | carries |
| high | `src/{high,higher}.rs`, `src/high/` | decides |

| other | `src/other.rs` | is another table |
";

    /// A crate of these files.
    fn tree(files: &[(&str, &str)]) -> Tree {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        let mut tree = Tree::default();
        tree.add(Path::new("src/lib.rs"), None, &read).unwrap();
        tree
    }

    fn against(files: &[(&str, &str)]) -> Vec<String> {
        graph::against_the_order(&map::rooms(TABLE), &tree(files).imports())
    }

    fn pairs(tree: &Tree) -> Vec<(String, String)> {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let imports = tree.imports().into_iter();
        imports.map(|it| (name(&it.from), name(&it.to))).collect()
    }

    #[test]
    fn the_table_is_read_with_its_braces() {
        let rooms = map::rooms(TABLE);
        let names: Vec<_> = rooms.iter().map(|room| room.name.as_str()).collect();
        assert_eq!(names, ["low", "high"]);
        for (file, is_high) in [
            ("src/higher.rs", true),
            ("src/high/deep.rs", true),
            ("src/low.rs", false),
        ] {
            assert_eq!(rooms[1].holds(Path::new(file)), is_high, "{file}");
        }
    }

    #[test]
    fn an_import_along_the_arrow_is_allowed() {
        let found = against(&[
            ("src/lib.rs", "mod low; mod high;"),
            ("src/low.rs", "pub fn go() {}"),
            ("src/high.rs", "use crate::low; fn f() { low::go() }"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn an_import_against_the_arrow_names_both_files() {
        for text in [
            "use crate::high::Thing;",
            "use super::{high::{Thing as T}};",
            "fn f() { crate::high::go() }",
            "fn f(it: crate::high::Thing) {}",
            "fn f() { println!(\"{}\", crate::high::go()) }",
            "#[derive(A)] struct S { #[a(with = crate::high::go)] field: u8 }",
            "mod inner { use super::super::high::*; }",
        ] {
            let found = against(&[
                ("src/lib.rs", "mod low; mod high;"),
                ("src/low.rs", text),
                ("src/high.rs", "pub struct Thing; pub fn go() {}"),
            ]);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(
                found[0].starts_with("src/low.rs:1 (low) imports"),
                "{found:?}"
            );
            assert!(found[0].contains("from src/high.rs (high)"), "{found:?}");
        }
    }

    #[test]
    fn a_re_export_does_not_hide_where_a_thing_is() {
        for (lib, text) in [
            (
                "mod low; mod high; pub use high::Thing;",
                "use crate::Thing;",
            ),
            ("mod low; mod high; pub use high::*;", "use crate::Thing;"),
            (
                "mod low; mod high; mod front { pub use super::high::Thing as Other; }",
                "fn f() { crate::front::Other::new() }",
            ),
        ] {
            let files = [
                ("src/lib.rs", lib),
                ("src/low.rs", text),
                ("src/high.rs", "pub struct Thing;"),
            ];
            let found = against(&files);
            assert_eq!(found.len(), 1, "{lib}: {found:?}");
            assert!(found[0].contains("from src/high.rs (high)"), "{found:?}");
        }
    }

    #[test]
    fn tests_and_other_crates_are_left_out() {
        let found = against(&[
            ("src/lib.rs", "mod low; mod high;"),
            (
                "src/low.rs",
                "use std::high::Thing; #[cfg(test)] use crate::high::Thing as T;
                 #[cfg(test)] mod tests { use crate::high::Thing; }
                 #[cfg(all(unix, test))] mod more; struct S;
                 impl S { #[cfg(test)] fn f() { crate::high::go() } }",
            ),
            ("src/high.rs", "pub struct Thing; pub fn go() {}"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn nothing_imports_from_the_root() {
        let found = against(&[
            ("src/lib.rs", "mod low; pub struct Error;"),
            ("src/low.rs", "use crate::Error;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("from src/lib.rs (no room)"), "{found:?}");
    }

    #[test]
    fn a_circle_is_shown_with_its_files() {
        let found = graph::circles(
            &tree(&[
                ("src/lib.rs", "mod a; mod b; mod c; mod d;"),
                ("src/a.rs", "use crate::b;"),
                ("src/b.rs", "use crate::c::C;"),
                ("src/c.rs", "pub struct C; fn f() { crate::a::g() }"),
                ("src/d.rs", "use crate::{a, b, c};"),
            ])
            .imports(),
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].lines().count(), 3, "{found:?}");
        for file in ["src/a.rs", "src/b.rs", "src/c.rs"] {
            assert!(found[0].contains(&format!("{file}:1 imports")), "{found:?}");
        }
    }

    #[test]
    fn a_submodule_and_its_parent_are_no_circle() {
        let files = [
            ("src/lib.rs", "mod a;"),
            ("src/a/mod.rs", "mod b; mod c; use b::B; pub struct A;"),
            ("src/a/b.rs", "pub struct B(super::A);"),
            ("src/a/c.rs", "use super::B;"),
        ];
        let tree = tree(&files);
        assert_eq!(graph::circles(&tree.imports()), [""; 0]);
        // `super::B` is b.rs's, by way of mod.rs.
        let expected = [("b.rs", "mod.rs"), ("c.rs", "b.rs"), ("mod.rs", "b.rs")];
        for (from, to) in expected {
            let pair = (from.to_owned(), to.to_owned());
            assert!(pairs(&tree).contains(&pair), "{from} → {to}");
        }
        assert_eq!(pairs(&tree).len(), expected.len());
    }

    #[test]
    fn siblings_through_their_parent_are_a_circle() {
        let found = graph::circles(
            &tree(&[
                ("src/lib.rs", "mod a;"),
                ("src/a/mod.rs", "mod b; mod c; pub use self::{b::B, c::C};"),
                ("src/a/b.rs", "pub struct B(super::C);"),
                ("src/a/c.rs", "use super::B; pub struct C;"),
            ])
            .imports(),
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn long_files_and_functions_are_found() {
        let file = Path::new("src/a.rs");
        let body = "    g();\n".repeat(58);
        let fits = format!("impl S {{ fn f() {{\n{body}}} }}");
        assert_eq!(sizes::too_long(file, &fits), [""; 0]);
        let long = format!("\n\nfn f() {{\n{body}    g();\n}}");
        let wanted = "src/a.rs:3 fn f has 61 lines, 60 at most";
        assert_eq!(sizes::too_long(file, &long), [wanted]);
        let wanted = "src/a.rs has 401 lines, 400 at most";
        assert_eq!(sizes::too_long(file, &"\n".repeat(401)), [wanted]);
    }

    #[test]
    fn named_files_are_told_from_other_words() {
        let text = "See `src/a.rs`, `b/{c,d}.toml`, `README.md`, `hook/` and `-p`, `a::b`, `TCP`, `/proc/stat`,
`docs/*.md`.
    `indented/code.rs`
```
`fenced/code.rs`
```
";
        let found = map::named_files(text);
        let wanted = ["src/a.rs", "b/c.toml", "b/d.toml", "README.md", "hook/"];
        assert_eq!(found, wanted.map(PathBuf::from));
    }
}
