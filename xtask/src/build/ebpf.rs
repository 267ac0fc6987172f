//! The kernel half: one object file for the BPF virtual machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::toolchain::Toolchain;
use crate::{proc, progress, workspace};

const PACKAGE: &str = "keepalive-ebpf";
const BINARY: &str = "katrace-ebpf";
/// What the bench compares with; katrace does not carry it.
const FLOOR: &str = "katrace-floor";
const CONTROL: &str = "katrace-control";

/// The BPF virtual machine runs in the byte order of its host.
const TARGET: &str = if cfg!(target_endian = "big") {
    "bpfeb-unknown-none"
} else {
    "bpfel-unknown-none"
};

/// Line numbers for the verifier's log, and BTF made of the same debug information.
/// Expanding memory operations "in order" is switched off, because it expands only copies. Clearing
/// sixteen bytes would then be a call of a loop over bytes, which was a fifth of what older verifiers visited.
const FLAGS: [&str; 6] = [
    "-C",
    "debuginfo=2",
    "-C",
    "link-arg=--btf",
    "-C",
    "link-arg=--disable-expand-memcpy-in-order",
];

/// Builds the object and returns its path, which changes only when its content does.
pub fn build(toolchain: &Toolchain) -> Result<PathBuf> {
    object(toolchain, BINARY, "building the kernel half")
}

/// Builds the programs that the bench takes for the least possible cost.
pub fn floor(toolchain: &Toolchain) -> Result<PathBuf> {
    object(toolchain, FLOOR, "building the bench's floor")
}

/// Builds the program that the scenarios judge katrace's counts beside.
pub fn control(toolchain: &Toolchain) -> Result<PathBuf> {
    object(toolchain, CONTROL, "building the tests' control")
}

fn object(toolchain: &Toolchain, binary: &str, what: &str) -> Result<PathBuf> {
    let target = workspace::target_dir()?;
    let mut cargo = cargo("build", toolchain, &target.join("bpf"));
    cargo.args(["--quiet", "--bin", binary]);
    progress::step(what, || proc::run(&mut cargo, what))?;
    let built = target.join("bpf").join(TARGET).join("release").join(binary);
    let object = target.join(binary).with_extension("o");
    copy_if_changed(&built, &object)?;
    Ok(object)
}

/// Clippy over the kernel half, every warning refused.
pub fn lint(toolchain: &Toolchain) -> Result<()> {
    let target = workspace::target_dir()?.join("bpf");
    let mut cargo = cargo("clippy", toolchain, &target);
    cargo.args(["--quiet", "--bins", "--", "-D", "warnings"]);
    proc::run(&mut cargo, "clippy over the kernel half")
}

fn cargo(subcommand: &str, toolchain: &Toolchain, target: &Path) -> Command {
    let linker = format!(
        "CARGO_TARGET_{}_LINKER",
        TARGET.replace('-', "_").to_uppercase()
    );
    let mut cargo = workspace::cargo(subcommand);
    cargo
        .args(["--package", PACKAGE, "--release"])
        .args(["--target", TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(target)
        // build-std is not stable yet; this lets the pinned stable compiler accept it.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
        .env(linker, &toolchain.linker);
    toolchain.source.apply(&mut cargo);
    cargo
}

/// Leaves the file's time alone when nothing changed, so that the user half is not built again.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}
