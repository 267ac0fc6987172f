//! Checks the dependencies against deny.toml: licences, duplicates, where they come from, known faults.

use anyhow::Result;

use crate::toolchain::subcommand;
use crate::{proc, workspace};

/// What is checked of the dependencies.
#[derive(clap::Args, Debug, Default)]
pub struct Options {
    /// Known faults too: fetches the RustSec database
    #[arg(long)]
    advisories: bool,
}

/// The workspaces of the repository, by their manifests.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

/// Runs cargo-deny over every workspace.
///
/// # Errors
///
/// cargo-deny cannot be installed, or a dependency breaks a rule; cargo-deny's own output says which.
pub fn run(options: &Options) -> Result<()> {
    let program = subcommand::DENY.ensure()?;
    for manifest in MANIFESTS {
        let mut deny = workspace::command(&program);
        deny.args(["--locked", "--all-features", "--log-level", "error"])
            .args(["--manifest-path", manifest, "--config"])
            .arg(workspace::root().join("deny.toml"))
            .args(["check", "licenses", "bans", "sources"]);
        if options.advisories {
            deny.arg("advisories");
        }
        proc::run(&mut deny, &format!("cargo deny of {manifest}"))?;
    }
    Ok(())
}
