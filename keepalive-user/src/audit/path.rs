//! What lies between two hosts and how long it remembers an idle connection: profiles, which are
//! data (paths.toml), and the hops that a run was told of.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

const BUILT_IN: &str = include_str!("paths.toml");

/// One kind of hop, as its documentation describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What `--path` takes.
    pub name: String,
    /// What it is, for people.
    pub hop: String,
    /// Its default, in milliseconds.
    pub idle_timeout_ms: u64,
    /// What it can be set to, in words.
    pub range: Option<String>,
    pub probe_resets: Resets,
    /// The kernel has a value of its own that counts instead.
    pub live: Option<Live>,
    pub source: Option<String>,
    /// When the value was last compared with its source.
    pub date: Option<String>,
}

/// Whether a keepalive probe restarts a hop's idle timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resets {
    /// Documented or measured.
    Yes,
    /// A packet filter, where any packet counts.
    Expected,
    #[serde(rename = "not stated")]
    NotStated,
    /// It ends TCP itself: it answers probes and counts bytes only.
    No,
}

impl Resets {
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Expected => "expected",
            Self::NotStated => "not stated",
            Self::No => "no",
        }
    }
}

/// Where the running kernel keeps a hop's timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Live {
    /// `net.netfilter.nf_conntrack_tcp_timeout_established`, of each network namespace.
    NfConntrack,
    /// `ipvsadm --list --timeout`, of each network namespace.
    Ipvs,
}

impl Live {
    pub fn name(self) -> &'static str {
        match self {
            Self::NfConntrack => "nf_conntrack",
            Self::Ipvs => "ipvs",
        }
    }
}

/// A hop of the path that a run judges against or plans for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub name: String,
    /// Idle time after which it forgets the connection, in milliseconds.
    pub timeout_ms: u64,
    pub probe_resets: Resets,
    pub live: Option<Live>,
}

impl Hop {
    /// Any other hop, named by its timeout: a probe counts as traffic there.
    pub fn of_timeout(name: &str, timeout_ms: u64) -> Self {
        Self {
            name: name.to_owned(),
            timeout_ms,
            probe_resets: Resets::Yes,
            live: None,
        }
    }

    /// Probes may keep a connection alive here.
    pub fn passes_probes(&self) -> bool {
        self.probe_resets != Resets::No
    }
}

impl From<&Profile> for Hop {
    fn from(profile: &Profile) -> Self {
        Self {
            name: profile.name.clone(),
            timeout_ms: profile.idle_timeout_ms,
            probe_resets: profile.probe_resets,
            live: profile.live,
        }
    }
}

/// The profiles by name, in the order of the table; those of a file after the built-in ones.
#[derive(Clone, Debug)]
pub struct Profiles(Vec<Profile>);

/// Why a file of profiles cannot be used; one line, once it is made harmless for a terminal.
#[derive(Debug, Error)]
pub enum PathsError {
    #[error("--paths {}: {source}; give a readable TOML file of [[path]] tables", .file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("--paths {}, line {line}: {why}; {ADVICE}", .file.display())]
    Wrong {
        file: PathBuf,
        /// From 1.
        line: usize,
        why: String,
    },
}

const ADVICE: &str = "a [[path]] table needs name and idle_timeout_s (seconds), and may have hop, \
                      probe_resets (yes, expected, not stated, no), range, source, date, live \
                      (nf_conntrack, ipvs)";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    path: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    hop: Option<String>,
    idle_timeout_s: Spanned<u64>,
    range: Option<String>,
    probe_resets: Option<Resets>,
    live: Option<Live>,
    source: Option<String>,
    date: Option<String>,
}

/// The longest timeout that is believed, in seconds: a year.
const LONGEST_S: u64 = 365 * 24 * 3600;

impl Profiles {
    /// The compiled-in table.
    ///
    /// # Errors
    ///
    /// None in a build whose tests passed: the table is read by one of them.
    pub fn built_in() -> Result<Self, PathsError> {
        Self(Vec::new()).with(BUILT_IN, Path::new("paths.toml"))
    }

    /// These profiles and those of a file; one of the same name takes the place of the earlier.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no TOML of such tables; the message names the line.
    pub fn with_file(self, file: &Path) -> Result<Self, PathsError> {
        let text = fs::read_to_string(file).map_err(|source| PathsError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        self.with(&text, file)
    }

    pub(crate) fn with(mut self, text: &str, file: &Path) -> Result<Self, PathsError> {
        let wrong = |at: usize, why: String| PathsError::Wrong {
            file: file.to_owned(),
            line: line_of(text, at),
            why,
        };
        let parsed: File = toml::from_str(text).map_err(|fault| {
            let at = fault.span().map_or(text.len(), |span| span.start);
            wrong(at, fault.message().replace('\n', ", "))
        })?;
        for entry in parsed.path {
            let (at, name) = (entry.name.span().start, entry.name.get_ref());
            if !is_name(name) {
                let why = format!("name {name:?}: letters, digits and - only, a letter first");
                return Err(wrong(at, why));
            }
            let seconds = *entry.idle_timeout_s.get_ref();
            if seconds == 0 || seconds > LONGEST_S {
                let why = format!("idle_timeout_s {seconds}: from 1 to {LONGEST_S}");
                return Err(wrong(entry.idle_timeout_s.span().start, why));
            }
            self.put(entry.into_profile());
        }
        Ok(self)
    }

    fn put(&mut self, profile: Profile) {
        match self.0.iter_mut().find(|own| own.name == profile.name) {
            Some(own) => *own = profile,
            None => self.0.push(profile),
        }
    }

    /// The profile of this name.
    pub fn named(&self, name: &str) -> Option<&Profile> {
        self.0.iter().find(|profile| profile.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.iter()
    }
}

impl fmt::Display for Profiles {
    /// The names, with commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, profile) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}", profile.name)?;
        }
        Ok(())
    }
}

impl Entry {
    fn into_profile(self) -> Profile {
        let name = self.name.into_inner();
        Profile {
            hop: self.hop.unwrap_or_else(|| name.clone()),
            idle_timeout_ms: self.idle_timeout_s.into_inner().saturating_mul(1000),
            range: self.range,
            probe_resets: self.probe_resets.unwrap_or(Resets::NotStated),
            live: self.live,
            source: self.source,
            date: self.date,
            name,
        }
    }
}

/// A name cannot be taken for a time such as `300s`, nor fall apart at a comma.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_alphanumeric())
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Profiles, PathsError> {
        Profiles::built_in()
            .unwrap()
            .with(text, Path::new("own.toml"))
    }

    #[test]
    fn every_built_in_profile_has_its_source_and_date() {
        let profiles = Profiles::built_in().unwrap();
        for profile in profiles.iter() {
            assert!(profile.source.is_some() && profile.date.is_some());
            assert_eq!(profiles.named(&profile.name), Some(profile));
        }
        let nlb = profiles.named("aws-nlb").unwrap();
        assert_eq!(
            (nlb.idle_timeout_ms, nlb.probe_resets),
            (350_000, Resets::Yes)
        );
        assert_eq!(
            profiles.named("conntrack").unwrap().live,
            Some(Live::NfConntrack)
        );
        assert!(!Hop::from(profiles.named("aws-alb").unwrap()).passes_probes());
    }

    #[test]
    fn a_file_adds_and_overrides() {
        let own = "[[path]]\nname = \"aws-nlb\"\nidle_timeout_s = 6000\n\n\
                   [[path]]\nname = \"office\"\nidle_timeout_s = 30\nprobe_resets = \"no\"\n";
        let built_in = Profiles::built_in().unwrap().iter().count();
        let profiles = with(own).unwrap();
        assert_eq!(profiles.iter().count(), built_in + 1);
        assert_eq!(
            profiles.named("aws-nlb").unwrap().idle_timeout_ms,
            6_000_000
        );
        assert_eq!(profiles.named("office").unwrap().probe_resets, Resets::No);
        assert!(profiles.to_string().ends_with(", office"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, word) in [
            ("[[path]]\nname = \"x\"\n", 1, "idle_timeout_s"),
            (
                "[[path]]\nname = \"x\"\nidle_timeout_s = 0\n",
                3,
                "idle_timeout_s 0",
            ),
            ("[[path]]\nname = \"x\"\nidle_timeout_s = -5\n", 3, "-5"),
            ("[[path]]\nname = \"3s\"\nidle_timeout_s = 5\n", 2, "3s"),
            (
                "\n[[path]]\nname = \"\u{1b}[31m\"\nidle_timeout_s = 5\n",
                3,
                "",
            ),
            ("[[path]]\nname = \"x\"\nidle = 5\n", 3, "idle"),
            (
                "[[path]]\nname = \"x\"\nidle_timeout_s = 5\nlive = \"no\"\n",
                4,
                "live",
            ),
            ("[[path]\n", 1, ""),
            ("[path]\nname = \"x\"\n", 1, ""),
        ] {
            let said = with(text).unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("--paths own.toml, line {line}: ")),
                "{said}"
            );
            assert!(said.contains(word) && !said.contains('\n'), "{said}");
            assert!(!said.contains(|c: char| c.is_control()), "{said}");
        }
    }
}
