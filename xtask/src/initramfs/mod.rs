//! The root file system of a guest, in memory: katrace, the scenarios, a shell, a few modules.

mod busybox;
mod cpio;
mod tools;

pub use busybox::ensure as ensure_busybox;
pub use tools::ensure as ensure_tools;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::build::Binaries;
use crate::kernels::Kernel;
use crate::kernels::modules;
use cpio::Writer;

const DIRECTORIES: [&str; 14] = [
    "bin",
    "dev",
    "etc",
    "etc/katrace",
    "lib",
    "lib/modules",
    "mnt",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "var",
    "var/tmp",
];

/// The content of a guest's file system.
pub struct Payload<'a> {
    pub binaries: &'a Binaries,
    /// The command that it runs; empty means a shell.
    pub command: &'a [String],
    pub bench: Option<&'a BenchKit>,
}

/// What the bench needs in the guest.
pub struct BenchKit {
    /// Object with the programs of least cost.
    pub floor: PathBuf,
    /// Tree of the distribution's tools.
    pub tools: PathBuf,
}

/// Where the guest finds [`BenchKit::floor`].
pub const FLOOR: &str = "etc/katrace/floor.o";

/// The initramfs for `kernel` with this content.
pub fn assemble(kernel: &Kernel, payload: &Payload) -> Result<Vec<u8>> {
    let Payload {
        binaries,
        command,
        bench,
    } = payload;
    let mut archive = Writer::default();
    for name in DIRECTORIES {
        archive.directory(name);
    }
    // The kernel opens it for the first process before anything can be mounted.
    archive.character_device("dev/console", (5, 1));
    archive.symlink("init", "bin/katrace-scenarios");
    program(&mut archive, "katrace-scenarios", &binaries.scenarios)?;
    program(&mut archive, "katrace", &binaries.katrace)?;
    add_busybox(&mut archive)?;
    add_modules(&mut archive, kernel)?;
    if !command.is_empty() {
        archive.file("etc/katrace/command", 0o644, &lines(command));
    }
    if let Some(kit) = bench {
        let floor =
            fs::read(&kit.floor).with_context(|| format!("cannot read {}", kit.floor.display()))?;
        archive.file(FLOOR, 0o644, &floor);
        tools::add(&mut archive, &kit.tools)?;
    }
    Ok(archive.finish())
}

fn program(archive: &mut Writer, name: &str, path: &Path) -> Result<()> {
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    archive.file(&format!("bin/{name}"), 0o755, &content);
    Ok(())
}

fn add_busybox(archive: &mut Writer) -> Result<()> {
    let busybox = busybox::ensure()?;
    program(archive, "busybox", &busybox.program)?;
    for applet in busybox.applets.iter().filter(|name| *name != "busybox") {
        archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    Ok(())
}

fn add_modules(archive: &mut Writer, kernel: &Kernel) -> Result<()> {
    let needed = match &kernel.modules {
        Some(tree) => modules::needed(tree)
            .with_context(|| format!("cannot gather the modules of kernel {}", kernel.name))?,
        None => Vec::new(),
    };
    let mut order = Vec::new();
    for module in needed {
        let file = format!("{}.ko", module.name);
        archive.file(&format!("lib/modules/{file}"), 0o644, &module.content);
        order.push(file);
    }
    archive.file("lib/modules/order", 0o644, &lines(&order));
    Ok(())
}

fn lines(words: &[String]) -> Vec<u8> {
    words
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\n"].concat())
        .collect()
}
