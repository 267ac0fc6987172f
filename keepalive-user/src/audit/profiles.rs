//! The path profiles, which are data: the built-in table (paths.toml) and a file of the user's (`--paths`).

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::path::{Live, Profile, Resets};
use crate::host_files;

const BUILT_IN: &str = include_str!("paths.toml");

/// Bytes of a file of profiles, at most: some 5,000 profiles.
const FILE_MAX: u64 = 1 << 20;

/// The profiles, in the order of the table; those of a file come after the built-in ones.
#[derive(Clone, Debug)]
pub struct Profiles(Vec<Profile>);

/// Why a file of profiles cannot be used. The message is one line; a file name may put control characters into it.
#[derive(Debug, Error)]
pub enum PathsError {
    /// The file cannot be read, is no regular file, or is too long.
    #[error("--paths {}: {source}; give a readable TOML file of [[path]] tables", .file.display())]
    Unreadable {
        /// As the command line has it.
        file: PathBuf,
        /// Why it cannot be used.
        source: io::Error,
    },
    /// A line of the file is no TOML, or says something that no profile may.
    #[error("--paths {}, line {line}: {why}; {ADVICE}", .file.display())]
    Wrong {
        /// As the command line has it.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
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

/// The longest timeout that is accepted, in seconds: a year.
const LONGEST_S: u64 = 365 * 24 * 3600;

impl Profiles {
    /// The built-in table.
    ///
    /// # Errors
    ///
    /// The table is wrong, which a test rules out.
    pub fn built_in() -> Result<Self, PathsError> {
        Self(Vec::new()).with_toml(BUILT_IN, Path::new("paths.toml"))
    }

    /// These profiles and those of a file. A profile of the file replaces an earlier one of the same name.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no regular file or longer than 1 MiB, or is no TOML of such tables; the message names
    /// the line.
    pub fn with_file(self, file: &Path) -> Result<Self, PathsError> {
        let text = host_files::read_regular(file, FILE_MAX)
            .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
            .map_err(|source| PathsError::Unreadable {
                file: file.to_owned(),
                source,
            })?;
        self.with_toml(&text, file)
    }

    /// These profiles and those of a TOML text. A profile of the text replaces an earlier one of the same name. `file`
    /// is only the name that an error message shows.
    ///
    /// # Errors
    ///
    /// The text is no TOML of such tables; the message names the line.
    pub fn with_toml(mut self, text: &str, file: &Path) -> Result<Self, PathsError> {
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

    /// Every profile, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.iter()
    }
}

impl fmt::Display for Profiles {
    /// The names, separated by commas.
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

/// `--path` must not take a name for a time such as `300s`, nor split it at a comma.
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
    use std::fs;

    use super::*;
    use crate::{audit::Hop, host_files::tests::Scratch};

    fn with(text: &str) -> Result<Profiles, PathsError> {
        Profiles::built_in()
            .unwrap()
            .with_toml(text, Path::new("own.toml"))
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
    fn a_file_is_read_up_to_its_bound() {
        let file = Scratch::new("paths");
        let refusal = |text: &[u8]| {
            fs::write(file.path(), text).unwrap();
            let read = Profiles::built_in().unwrap().with_file(file.path());
            read.err().map(|error| error.to_string())
        };
        let comment = |length: u64| vec![b'#'; length as usize];
        assert_eq!(refusal(&comment(FILE_MAX)), None);
        for (text, why) in [
            (comment(FILE_MAX + 1), "longer than 1048576 bytes"),
            (b"\xff".to_vec(), "invalid utf-8"),
        ] {
            let said = refusal(&text).unwrap();
            assert!(said.contains(why) && !said.contains('\n'), "{said}");
        }
        let device = Profiles::built_in()
            .unwrap()
            .with_file(Path::new("/dev/zero"));
        let said = device.unwrap_err().to_string();
        assert!(
            said.starts_with("--paths /dev/zero: not a regular file; give "),
            "{said}"
        );
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
