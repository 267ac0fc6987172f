//! The two spellings of an apt source, and the one that is written here.

use std::fmt::Write as _;

/// One archive of the machine, as its administrator declared it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub uri: String,
    pub suites: Vec<String>,
    pub components: Vec<String>,
    /// Value of `Signed-By`, continuation lines (an embedded key) included.
    pub signed_by: Option<String>,
}

impl Source {
    pub fn has_suite(&self, suite: &str) -> bool {
        self.suites.iter().any(|own| own == suite)
    }

    /// The deb822 stanza that declares this source for other suites, main component only.
    pub fn stanza(&self, suites: &[&str]) -> String {
        let mut text = format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: main\n",
            self.uri,
            suites.join(" ")
        );
        if let Some(keys) = &self.signed_by {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "Signed-By: {keys}");
        }
        text.push('\n');
        text
    }
}

/// Sources of a file in the deb822 format (`*.sources`).
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut stanza: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(from_stanza(&stanza));
            stanza.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn from_stanza(stanza: &[(String, String)]) -> Vec<Source> {
    let value = |name: &str| {
        let found = stanza.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let words = |name| value(name).split_whitespace().map(str::to_owned);
    if !words("types").any(|kind| kind == "deb") || value("enabled").eq_ignore_ascii_case("no") {
        return Vec::new();
    }
    let signed_by = value("signed-by");
    words("uris")
        .map(|uri| Source {
            uri,
            suites: words("suites").collect(),
            components: words("components").collect(),
            signed_by: (!signed_by.is_empty()).then(|| signed_by.to_owned()),
        })
        .collect()
}

/// Sources of a file in the one-line format (`*.list`).
pub fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(from_line).collect()
}

fn from_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or(line).trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="))
        .map(str::to_owned);
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn deb822_with_comments_and_two_stanzas() {
        let text = "Types: deb deb-src\n# a remark\nURIs: http://mirror.test/debian\nSuites: one two\n\
                    Components: main contrib\nSigned-By: /keys/a.gpg\n\nTypes: deb-src\nURIs: http://s.test\n\
                    Suites: one\nComponents: main\n";
        let expected = Source {
            uri: "http://mirror.test/debian".to_owned(),
            suites: words("one two"),
            components: words("main contrib"),
            signed_by: Some("/keys/a.gpg".to_owned()),
        };
        assert_eq!(parse_deb822(text), [expected]);
    }

    #[test]
    fn deb822_keeps_an_embedded_key() {
        let text = "Types: deb\nURIs: http://m.test\nSuites: x\nComponents: main\n\
                    Signed-By:\n -----BEGIN\n .\n AAAA\n";
        let keys = parse_deb822(text)[0].signed_by.clone();
        assert_eq!(keys.as_deref(), Some("\n -----BEGIN\n .\n AAAA"));
    }

    #[test]
    fn deb822_switched_off() {
        let text = "Enabled: no\nTypes: deb\nURIs: http://m.test\nSuites: x\nComponents: main\n";
        assert_eq!(parse_deb822(text), []);
    }

    #[test]
    fn one_line_with_and_without_options() {
        let text = "# remark\ndeb [arch=amd64 signed-by=/keys/b.gpg] http://m.test/debian one main # tail\n\
                    deb-src http://m.test/debian one main\ndeb http://n.test two main extra\n";
        let sources = parse_one_line(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].signed_by.as_deref(), Some("/keys/b.gpg"));
        assert!(sources[0].has_suite("one"));
        assert_eq!(sources[1].uri, "http://n.test");
        assert_eq!(sources[1].components, words("main extra"));
    }

    #[test]
    fn a_stanza_survives_being_read_back() {
        let source = Source {
            uri: "http://m.test/debian".to_owned(),
            suites: words("one"),
            components: words("main"),
            signed_by: Some("/keys/a.gpg".to_owned()),
        };
        let read = parse_deb822(&source.stanza(&["one"]));
        assert_eq!(read, [source]);
    }
}
