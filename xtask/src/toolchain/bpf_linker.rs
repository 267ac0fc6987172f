//! bpf-linker, built against the very LLVM that the compiler carries: no system LLVM, no version to mismatch.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Compiler;
use crate::{cache, proc, progress, workspace};

const VERSION: &str = "0.13.0";
/// Where an install keeps its link to the toolchain's LLVM; the build script looks for `lib/libLLVM.so` under a
/// prefix, while the toolchain's file has a longer name.
const LLVM: &str = "llvm/lib/libLLVM.so";

pub fn ensure(compiler: &Compiler) -> Result<PathBuf> {
    let name = format!("bpf-linker-{VERSION}-rust-{}", compiler.release);
    let root = cache::root()?.join(&name);
    // It loads LLVM by the toolchain's path: one of the same version elsewhere needs its own.
    if fs::read_link(root.join(LLVM)).is_ok_and(|link| !link.starts_with(&compiler.sysroot)) {
        cache::remove(&root)?;
    }
    let root = cache::entry(&name, |dir| {
        progress::step(&format!("installing bpf-linker {VERSION}"), || {
            install(compiler, dir)
        })
    })?;
    Ok(root.join("bin/bpf-linker"))
}

fn install(compiler: &Compiler, dir: &Path) -> Result<()> {
    let library_dir = compiler.sysroot.join("lib");
    let llvm = shared_llvm(&library_dir)?;

    let prefix = dir.join("llvm");
    fs::create_dir_all(prefix.join("lib"))
        .and_then(|()| symlink(&llvm, dir.join(LLVM)))
        .with_context(|| format!("cannot link {} into {}", llvm.display(), prefix.display()))?;

    let mut cargo = workspace::cargo("install");
    cargo
        .args(["bpf-linker", "--quiet", "--locked", "--no-default-features"])
        .args(["--version", VERSION])
        .args(["--features", &format!("llvm-{}", compiler.llvm)])
        .arg("--root")
        .arg(dir)
        .arg("--target-dir")
        .arg(dir.join("target"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env(
            "RUSTFLAGS",
            format!("-C link-arg=-Wl,-rpath,{}", library_dir.display()),
        )
        .env("LLVM_PREFIX", &prefix);
    proc::capture(&mut cargo, "installing bpf-linker").context(
        "bpf-linker needs a C++ runtime and linker: apt install build-essential · \
         dnf install gcc-c++ · pacman -S base-devel · zypper install gcc-c++",
    )?;
    cache::remove(&dir.join("target"))
}

fn shared_llvm(dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("libLLVM.so."))
        })
        .with_context(|| {
            format!(
                "no libLLVM.so.* in {}: this compiler carries no shared LLVM; use rustup's toolchain",
                dir.display()
            )
        })
}
