//! A plan in the programming languages: whole files that compile, one template each.

use crate::audit::Plan;

/// A language: its key in JSON, its title, its template.
const LANGUAGES: [(&str, &str, &str); 5] = [
    ("c", "C", include_str!("keepalive.c")),
    ("python", "Python", include_str!("keepalive.py")),
    ("go", "Go", include_str!("keepalive.go")),
    ("rust", "Rust", include_str!("keepalive.rs.txt")),
    ("java", "Java", include_str!("Keepalive.java")),
];

/// Key, title and text for every language.
pub fn all(plan: &Plan) -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let values = [
        ("@ARITHMETIC@", plan.to_string()),
        ("@IDLE@", plan.idle_s.to_string()),
        ("@INTVL@", plan.intvl_s.to_string()),
        ("@CNT@", plan.cnt.to_string()),
        ("@USER_TIMEOUT@", plan.user_timeout_ms().to_string()),
    ];
    LANGUAGES.into_iter().map(move |(key, title, template)| {
        let fill = |text: String, (mark, value): &(&str, String)| text.replace(mark, value);
        let text = values.iter().fold(template.to_owned(), fill);
        (key, title, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_is_filled_in_and_every_value_is_there() {
        let plan = Plan {
            idle_s: 61,
            intvl_s: 11,
            cnt: 4,
        };
        for (key, _, text) in all(&plan) {
            assert!(!text.contains('@'), "{key}: {text}");
            assert!(text.contains("61 + 4 × 11 = 105 s"), "{key}");
            for value in ["61", "11", "4", "105000"] {
                assert!(text.contains(value), "{key}: {value}");
            }
        }
    }
}
