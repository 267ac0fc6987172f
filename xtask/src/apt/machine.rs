//! The archives this machine already trusts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::sources::{Source, parse_deb822, parse_one_line};
use crate::proc;

/// What the machine's own apt knows.
pub struct Machine {
    /// `VERSION_CODENAME` of the distribution.
    pub codename: String,
    /// The sources that serve this codename, in any of its suites.
    pub sources: Vec<Source>,
    /// dpkg's record of what is installed.
    pub status: PathBuf,
}

impl Machine {
    pub fn read() -> Result<Self> {
        for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
            if !proc::on_path(tool) {
                bail!(
                    "{tool} is not installed, and packages of the Debian archive are needed: \
                     dnf install apt dpkg debian-keyring · pacman -S apt dpkg debian-archive-keyring · \
                     zypper install apt dpkg"
                );
            }
        }
        let codename = codename()?;
        let mut sources = configured()?;
        sources.retain(|source| {
            let serves = |suite: &String| suite.starts_with(&codename);
            source.suites.iter().any(serves) && !source.uri.starts_with("cdrom:")
        });
        Ok(Self {
            codename,
            sources,
            status: location("Dir::State::status/f")?,
        })
    }

    /// The archive that serves the distribution's release itself, and so its sibling suites.
    pub fn main(&self) -> Result<&Source> {
        self.sources
            .iter()
            .find(|source| source.has_suite(&self.codename))
            .with_context(|| {
                format!(
                    "no source in this machine's apt configuration serves the suite {}",
                    self.codename
                )
            })
    }
}

fn codename() -> Result<String> {
    let path = "/etc/os-release";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .with_context(|| format!("{path} names no VERSION_CODENAME"))?;
    Ok(value.trim_matches('"').to_owned())
}

fn configured() -> Result<Vec<Source>> {
    let mut files = vec![location("Dir::Etc::sourcelist/f")?];
    let parts = location("Dir::Etc::sourceparts/d")?;
    if let Ok(entries) = fs::read_dir(&parts) {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let Some(kind) = file.extension().and_then(|kind| kind.to_str()) else {
            continue;
        };
        let parse = match kind {
            "sources" => parse_deb822,
            "list" => parse_one_line,
            _ => continue,
        };
        if let Some(text) = read_if_there(&file)? {
            sources.extend(parse(&text));
        }
    }
    Ok(sources)
}

fn read_if_there(file: &Path) -> Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// A path from apt's own configuration.
fn location(key: &str) -> Result<PathBuf> {
    let mut config = proc::command("apt-config");
    config.args(["shell", "X", key]);
    let text = proc::capture(&mut config, "reading apt's configuration")?;
    let value = text.trim().trim_start_matches("X=").trim_matches('\'');
    if value.is_empty() {
        bail!("apt's configuration has no {key}");
    }
    Ok(PathBuf::from(value))
}
