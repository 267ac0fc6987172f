//! Subcommands of cargo that the tests use: from the registry, at a fixed version, installed into the cache.

use std::path::PathBuf;

use anyhow::Result;

use crate::{cache, proc, progress, workspace};

/// A subcommand of cargo and the version that is installed.
pub struct Subcommand {
    package: &'static str,
    version: &'static str,
    /// Installed without the package's default features.
    bare: bool,
}

/// Builds and runs fuzz targets with the compiler's instrumentation.
pub const FUZZ: Subcommand = Subcommand {
    package: "cargo-fuzz",
    version: "0.13.2",
    bare: false,
};

/// Checks the dependencies against deny.toml. Its default features build a second cargo, which is not needed.
pub const DENY: Subcommand = Subcommand {
    package: "cargo-deny",
    version: "0.20.2",
    bare: true,
};

impl Subcommand {
    /// The program's path; installs it the first time.
    ///
    /// # Errors
    ///
    /// The registry cannot be reached or the package does not build.
    pub fn ensure(&self) -> Result<PathBuf> {
        let Self {
            package, version, ..
        } = self;
        let root = cache::entry(&format!("{package}-{version}"), |dir| {
            progress::step(&format!("installing {package} {version}"), || {
                let mut cargo = workspace::cargo("install");
                cargo
                    .args([package, "--quiet", "--locked", "--version", version])
                    .arg("--root")
                    .arg(dir)
                    .arg("--target-dir")
                    .arg(dir.join("target"));
                if self.bare {
                    cargo.arg("--no-default-features");
                }
                proc::capture(&mut cargo, &format!("installing {package}"))?;
                cache::remove(&dir.join("target"))
            })
        })?;
        Ok(root.join("bin").join(package))
    }
}
