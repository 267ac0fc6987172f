//! The user half and the scenarios.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::toolchain::Compiler;
use crate::{proc, progress, workspace};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build, for work on the code.
    Dev,
    /// Optimised and fully static: runs in any guest and on any machine of this architecture.
    Static,
}

pub struct Binaries {
    pub katrace: PathBuf,
    pub scenarios: PathBuf,
}

impl Binaries {
    fn in_dir(dir: &Path) -> Self {
        Self {
            katrace: dir.join("katrace"),
            scenarios: dir.join("katrace-scenarios"),
        }
    }
}

pub fn build(compiler: &Compiler, object: &Path, profile: Profile) -> Result<Binaries> {
    let mut dir = workspace::target_dir()?;
    let mut cargo = workspace::cargo("build");
    cargo
        .args(["--quiet", "--package", "keepalive-user"])
        .args(["--package", "katrace-scenarios", "--bins"])
        .env("KATRACE_EBPF_OBJECT", object);
    match profile {
        Profile::Dev => dir.push("debug"),
        Profile::Static => {
            let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
            cargo
                .args(["--release", "--target", &compiler.host])
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .env(
                    "RUSTFLAGS",
                    format!("{flags} -C target-feature=+crt-static"),
                );
            dir.extend([&compiler.host, "release"]);
        }
    }
    let what = match profile {
        Profile::Dev => "building katrace",
        Profile::Static => "building the static katrace",
    };
    progress::step(what, || proc::run(&mut cargo, what))?;
    Ok(Binaries::in_dir(&dir))
}

/// A path with its size, for people.
pub fn describe(path: &Path) -> Result<String> {
    let size = fs::metadata(path)
        .with_context(|| format!("cannot look at {}", path.display()))?
        .len();
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mebibytes = size as f64 / f64::from(1 << 20);
    Ok(format!("{} ({mebibytes:.1} MiB)", path.display()))
}
