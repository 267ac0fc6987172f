//! The standard library's source, of exactly the compiler in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Compiler;
use crate::apt::{Archive, suites};
use crate::{cache, proc, progress};

/// Where `-Z build-std` shall read `core` from.
pub enum Source {
    /// The toolchain's own `rust-src` component.
    Component,
    /// A `library` folder outside of the toolchain.
    Library(PathBuf),
}

impl Source {
    pub fn apply(&self, cargo: &mut Command) {
        if let Self::Library(dir) = self {
            // The one way to point cargo at a library outside of its sysroot; it spares the user's toolchain.
            cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", dir);
        }
    }
}

pub fn ensure(compiler: &Compiler) -> Result<Source> {
    let in_sysroot = compiler
        .sysroot
        .join("lib/rustlib/src/rust/library/Cargo.toml");
    if in_sysroot.is_file() {
        return Ok(Source::Component);
    }
    let name = format!("rust-src-{}", compiler.release);
    let cached = cache::root()?.join(&name).join("library");
    if cached.is_dir() {
        return Ok(Source::Library(cached));
    }
    if proc::on_path("rustup") && by_rustup().is_ok() && in_sysroot.is_file() {
        return Ok(Source::Component);
    }
    let dir = cache::entry(&name, |dir| {
        progress::step(
            &format!("fetching the source of Rust {}", compiler.release),
            || from_distribution(compiler, dir),
        )
    })
    .with_context(|| {
        format!(
            "no rust-src for Rust {0}: `rustup component add rust-src` could not fetch it, and no package has it.\n\
             Install it by hand: rustup component add rust-src --toolchain {0} · dnf install rust-src · \
             pacman -S rust-src · zypper install rust-src",
            compiler.release
        )
    })?;
    Ok(Source::Library(dir.join("library")))
}

fn by_rustup() -> Result<()> {
    let mut rustup = proc::command("rustup");
    rustup
        .current_dir(crate::workspace::root())
        .args(["component", "add", "rust-src"]);
    progress::step("adding rust-src with rustup", || {
        proc::capture(&mut rustup, "adding rust-src")?;
        Ok(())
    })
}

fn from_distribution(compiler: &Compiler, dir: &Path) -> Result<()> {
    let archive = Archive::open(suites::RUST_SRC)?;
    let version = archive
        .versions("rust-src")?
        .into_iter()
        .find(|version| upstream(version) == compiler.release)
        .with_context(|| {
            format!(
                "suite {} has no rust-src of version {}",
                suites::RUST_SRC,
                compiler.release
            )
        })?;
    let tree = dir.join("unpacked");
    archive.fetch(&[format!("rust-src={version}")], &tree)?;
    let library = tree.join(format!("usr/src/rustc-{}/library", compiler.release));
    fs::rename(&library, dir.join("library"))
        .with_context(|| format!("the package rust-src holds no {}", library.display()))?;
    cache::remove(&tree)
}

/// The upstream part of a Debian version: no epoch, no repack mark, no revision.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['+', '-', '~']).next().unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::upstream;

    #[test]
    fn upstream_versions() {
        assert_eq!(upstream("1.95.0+dfsg1-2~bpo13+1"), "1.95.0");
        assert_eq!(upstream("1:1.95.0-2"), "1.95.0");
        assert_eq!(upstream("1.95.0"), "1.95.0");
    }
}
