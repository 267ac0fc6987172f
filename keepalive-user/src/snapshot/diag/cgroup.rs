//! A cgroup and all below it, by their ids: sock_diag tells a socket's own only.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Ids of the cgroup2 directory with this id, and of all below it; empty if it is not to be found.
pub fn family(id: u64) -> io::Result<HashSet<u64>> {
    let mut ids = HashSet::new();
    if let Some(mount) = crate::cli::cgroup2_mount() {
        walk(&mount, id, false, &mut ids)?;
    }
    Ok(ids)
}

fn walk(directory: &Path, id: u64, inside: bool, ids: &mut HashSet<u64>) -> io::Result<()> {
    // A directory that is removed meanwhile holds no socket any more.
    let Ok(own) = fs::metadata(directory).map(|meta| meta.ino()) else {
        return Ok(());
    };
    let inside = inside || own == id;
    if inside {
        ids.insert(own);
    }
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(());
    };
    let below: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    below
        .iter()
        .try_for_each(|directory| walk(directory, id, inside, ids))
}
