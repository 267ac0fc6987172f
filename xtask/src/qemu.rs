//! A QEMU that does not corrupt its guests: the machine's own if recent enough, else a private one.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::Archive;
use crate::{cache, proc, progress};

/// Under software emulation QEMU 7.2 breaks a guest's memory allocator about every second boot; 10.0 does not.
const MINIMUM: u32 = 10;
const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

pub struct Qemu {
    program: PathBuf,
    /// Root of the private copy, when it is one.
    prefix: Option<PathBuf>,
}

impl Qemu {
    pub fn ensure() -> Result<Self> {
        let own = Self {
            program: PathBuf::from(PROGRAM),
            prefix: None,
        };
        if proc::on_path(PROGRAM) && own.major().is_ok_and(|major| major >= MINIMUM) {
            return Ok(own);
        }
        let prefix = cache::entry("qemu", |dir| {
            progress::step("fetching QEMU", || fetch(dir))
        })
        .with_context(|| {
            format!(
                "QEMU {MINIMUM} or later is needed to boot guests and could not be fetched. Install it: \
                 apt install {PACKAGE} · dnf install qemu-system-x86-core · pacman -S qemu-system-x86 · \
                 zypper install qemu-x86"
            )
        })?;
        Ok(Self::private(&prefix))
    }

    fn private(prefix: &Path) -> Self {
        Self {
            program: prefix.join("usr/bin").join(PROGRAM),
            prefix: Some(prefix.to_owned()),
        }
    }

    /// The command, with its libraries and firmware, and the fastest accelerator there is.
    pub fn command(&self) -> Result<Command> {
        let mut qemu = proc::command(&self.program);
        if let Some(prefix) = &self.prefix {
            qemu.env("LD_LIBRARY_PATH", library_path(prefix)?);
            for data in ["qemu", "seabios"] {
                qemu.arg("-L").arg(prefix.join("usr/share").join(data));
            }
        }
        Ok(qemu)
    }

    fn major(&self) -> Result<u32> {
        let mut version = self.command()?;
        version.arg("--version");
        let text = proc::capture(&mut version, "asking QEMU for its version")?;
        major(&text).with_context(|| format!("QEMU's version is unreadable: {text}"))
    }
}

/// Whether this process may use hardware virtualisation.
///
/// That the device exists is not enough: paravirtual hosts offer it too, and a stock guest hangs there.
pub fn kvm_usable() -> bool {
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    device.is_ok() && virtualises(&processor)
}

fn virtualises(processor: &str) -> bool {
    processor
        .split_whitespace()
        .any(|flag| matches!(flag, "vmx" | "svm"))
}

fn fetch(dir: &Path) -> Result<()> {
    Archive::backports()?.fetch_with_dependencies(&[PACKAGE], dir)?;
    let found = Qemu::private(dir).major()?;
    if found < MINIMUM {
        bail!("the archive's {PACKAGE} is version {found}");
    }
    Ok(())
}

/// Library folders of the private copy, the multi-architecture ones.
fn library_path(prefix: &Path) -> Result<std::ffi::OsString> {
    let mut dirs = Vec::new();
    for lib in ["usr/lib", "lib"] {
        let Ok(entries) = fs::read_dir(prefix.join(lib)) else {
            continue;
        };
        let triples = entries.filter_map(|entry| Some(entry.ok()?.path()));
        dirs.extend(triples.filter(|path| path.to_string_lossy().contains("-linux-gnu")));
    }
    std::env::join_paths(dirs)
        .context("the cache folder's name has a colon, which no library path can")
}

fn major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("version ")?;
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{major, virtualises};

    #[test]
    fn virtualisation_is_a_flag_of_the_processor() {
        assert!(virtualises("flags\t\t: fpu vme vmx sse"));
        assert!(!virtualises("flags\t\t: fpu vme vmxoff sse"));
    }

    #[test]
    fn major_version() {
        assert_eq!(
            major("QEMU emulator version 10.0.2 (Debian 1:10.0.2)"),
            Some(10)
        );
        assert_eq!(major("QEMU emulator version 7.2.22"), Some(7));
        assert_eq!(major("no such thing"), None);
    }
}
