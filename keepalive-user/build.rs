//! Finds the kernel half's object, which `cargo xtask build` makes and the program carries inside.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const VARIABLE: &str = "KATRACE_EBPF_OBJECT";
const FILE: &str = "katrace-ebpf.o";

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    let object = match env::var_os(VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => beside_the_build(),
    };
    println!("cargo:rerun-if-changed={}", object.display());
    if !object.is_file() {
        println!(
            "cargo:error=the kernel half {} is not built yet: run `cargo xtask build` once",
            object.display()
        );
        return ExitCode::FAILURE;
    }
    println!("cargo:rustc-env={VARIABLE}={}", object.display());
    ExitCode::SUCCESS
}

/// The object in the target folder that this build writes to, wherever that is.
fn beside_the_build() -> PathBuf {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let found = out
        .ancestors()
        .map(|dir| dir.join(FILE))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| Path::new("../target").join(FILE))
}
