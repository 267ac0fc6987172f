//! A shell and the usual small tools for guests: the static busybox of the archive.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::{Archive, suites};
use crate::{cache, proc, progress};

pub struct Busybox {
    pub program: PathBuf,
    /// The commands that get a link to it.
    pub applets: Vec<String>,
}

pub fn ensure() -> Result<Busybox> {
    let dir = cache::entry("busybox", |dir| {
        progress::step("fetching busybox", || fetch(dir))
    })?;
    let program = dir.join("busybox");
    let mut list = proc::command(&program);
    list.arg("--list");
    let applets = proc::capture(&mut list, "listing busybox's tools")?;
    Ok(Busybox {
        program,
        applets: applets.lines().map(str::to_owned).collect(),
    })
}

fn fetch(dir: &Path) -> Result<()> {
    let tree = dir.join("unpacked");
    Archive::open(suites::TRIXIE)?.fetch(&["busybox-static".to_owned()], &tree)?;
    let program = ["usr/bin/busybox", "bin/busybox"]
        .map(|path| tree.join(path))
        .into_iter()
        .find(|path| path.is_file())
        .context("the package busybox-static holds no busybox")?;
    fs::rename(&program, dir.join("busybox"))
        .with_context(|| format!("cannot move {}", program.display()))?;
    cache::remove(&tree)
}
