//! What xtask installs for itself: outside the source tree, shared by clones.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::progress;

/// The folder that holds everything downloaded or installed.
pub fn root() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let root = if let Some(own) = set("KATRACE_CACHE") {
        PathBuf::from(own)
    } else if let Some(base) = set("XDG_CACHE_HOME") {
        Path::new(&base).join("katrace")
    } else {
        let home =
            set("HOME").context("no cache folder: set KATRACE_CACHE, since HOME is unset")?;
        Path::new(&home).join(".cache/katrace")
    };
    let root = std::path::absolute(&root)
        .with_context(|| format!("cannot make {} absolute", root.display()))?;
    fs::create_dir_all(&root)
        .with_context(|| format!("cannot create the cache folder {}", root.display()))?;
    Ok(root)
}

/// A lock between threads and between processes, freed by the kernel when its holder ends.
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

pub fn lock(name: &str) -> Result<Lock> {
    let path = root()?.join(format!(".{}.lock", name.replace('/', "-")));
    let file = File::create(&path)
        .with_context(|| format!("cannot create the lock {}", path.display()))?;
    if file.try_lock().is_err() {
        progress::step(&format!("waiting for whoever prepares {name}"), || {
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))
        })?;
    }
    Ok(Lock(file))
}

/// The folder `name` of the cache, filled by `fill` the first time.
///
/// `fill` works in a scratch folder that gets its name only when it is complete, so an interrupted install is
/// never taken for a finished one.
pub fn entry(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = root()?.join(name);
    if path.is_dir() {
        return Ok(path);
    }
    let _lock = lock(name)?;
    if path.is_dir() {
        return Ok(path);
    }
    let scratch = path.with_added_extension("partial");
    remove(&scratch)?;
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    fill(&scratch)?;
    fs::rename(&scratch, &path)
        .with_context(|| format!("cannot rename {} to {}", scratch.display(), path.display()))?;
    Ok(path)
}

/// Removes a folder and what it holds; one that is not there is fine.
pub fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}
