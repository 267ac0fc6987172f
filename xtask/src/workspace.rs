//! Where the sources are, where cargo builds, and cargo itself with a clean environment.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::proc;

/// Settings of the user's own that a cargo started from here must keep.
const KEPT: [&str; 6] = [
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_JOBS",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_INCREMENTAL",
    "CARGO_ENCODED_RUSTFLAGS",
];
const KEPT_PREFIXES: [&str; 5] = [
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

pub fn root() -> &'static Path {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().unwrap_or(crate_dir)
}

/// Cargo in the workspace, without what `cargo run` sets for the program it runs.
pub fn cargo(subcommand: &str) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut cargo = command(program);
    cargo.arg(subcommand);
    cargo
}

/// A program in the workspace's folder, with the same environment as [`cargo`].
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = proc::command(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        if leaks(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn leaks(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let kept = KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    name == "LD_LIBRARY_PATH" || (name.starts_with("CARGO") && !kept)
}

/// Cargo's target folder, wherever the user's settings put it.
pub fn target_dir() -> Result<PathBuf> {
    let mut metadata = cargo("metadata");
    metadata.args(["--no-deps", "--format-version=1"]);
    let json = proc::capture(&mut metadata, "reading the workspace's layout")?;
    let value: serde_json::Value =
        serde_json::from_str(&json).context("cargo metadata printed no valid JSON")?;
    let dir = value["target_directory"]
        .as_str()
        .context("cargo metadata names no target_directory")?;
    Ok(PathBuf::from(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cargos_own_variables_leak() {
        assert!(leaks(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(leaks(OsStr::new("CARGO_PKG_NAME")));
        assert!(leaks(OsStr::new("CARGO")));
        assert!(!leaks(OsStr::new("CARGO_TARGET_DIR")));
        assert!(!leaks(OsStr::new("CARGO_HTTP_PROXY")));
        assert!(!leaks(OsStr::new("PATH")));
    }
}
