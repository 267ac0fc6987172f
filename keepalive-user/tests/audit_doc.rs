//! docs/audit.md and the rules name each other; so do its fields and the records.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

use std::{fs, path::Path};

use katrace::audit::Rule;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit.md");
    fs::read_to_string(path).unwrap()
}

#[test]
fn every_rule_has_its_section_and_every_section_its_rule() {
    let document = document();
    let (_, rules) = document.split_once("\n## Rules\n").unwrap();
    let sections: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    assert_eq!(sections, Rule::ALL.map(Rule::id));
}

#[test]
fn every_section_says_what_why_how_and_when_not() {
    let document = document();
    let (_, rules) = document.split_once("\n## Rules\n").unwrap();
    for section in rules.split("\n### ").skip(1) {
        for word in ["**Sees**", "**Why**", "**Fix**", "**Ignore**"] {
            let times = section.matches(word).count();
            assert_eq!(times, 1, "{word} in {section}");
        }
    }
}
