//! The compiler in use, and the two things it lacks for eBPF: its library's source and a linker.

mod bpf_linker;
mod rust_src;
pub mod subcommand;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{proc, workspace};

/// What `rustc` says of itself.
pub struct Compiler {
    pub release: String,
    pub host: String,
    /// Major version of the LLVM it carries.
    pub llvm: String,
    pub sysroot: PathBuf,
}

/// A compiler that can build the kernel half.
pub struct Toolchain {
    pub compiler: Compiler,
    pub source: rust_src::Source,
    pub linker: PathBuf,
}

pub fn ensure() -> Result<Toolchain> {
    let compiler = Compiler::detect()?;
    let source = rust_src::ensure(&compiler)?;
    let linker = bpf_linker::ensure(&compiler)?;
    Ok(Toolchain {
        compiler,
        source,
        linker,
    })
}

impl Compiler {
    pub fn detect() -> Result<Self> {
        let rustc = || {
            let mut rustc = proc::command("rustc");
            rustc.current_dir(workspace::root());
            rustc
        };
        let about = proc::capture(rustc().arg("-vV"), "asking rustc for its version")?;
        let sysroot = proc::capture(
            rustc().args(["--print", "sysroot"]),
            "asking rustc for its sysroot",
        )?;
        let llvm = field(&about, "LLVM version")?;
        Ok(Self {
            release: field(&about, "release")?.to_owned(),
            host: field(&about, "host")?.to_owned(),
            llvm: llvm.split('.').next().unwrap_or(llvm).to_owned(),
            sysroot: PathBuf::from(sysroot.trim_end()),
        })
    }
}

fn field<'a>(about: &'a str, name: &str) -> Result<&'a str> {
    about
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .with_context(|| format!("rustc -vV has no line \"{name}: …\""))
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_of_the_version_text() {
        let about = "rustc 1.95.0 (abc 2026-04-14)\nrelease: 1.95.0\nLLVM version: 22.1.2\n";
        assert_eq!(field(about, "release").unwrap(), "1.95.0");
        assert_eq!(field(about, "LLVM version").unwrap(), "22.1.2");
        assert!(field(about, "host").is_err());
    }
}
