//! A cgroup and all cgroups below it, by their ids: sock_diag tells only a socket's own cgroup.

use std::{collections::HashSet, fs, os::unix::fs::MetadataExt};

use crate::host_files::mounts;

/// Ids of the cgroup2 directory with this id, and of all directories below it; empty if there is none. On cgroup2 the
/// inode number is the id (64-bit hosts). A directory that is removed meanwhile holds no socket any more.
pub fn subtree_ids(id: u64) -> HashSet<u64> {
    let mut ids = HashSet::new();
    // Directories to look at, and whether they lie within the wanted one. No recursion: others decide how deep
    // cgroups go.
    let mut waiting: Vec<_> = mounts::cgroup2()
        .into_iter()
        .map(|root| (root, false))
        .collect();
    while let Some((directory, inside_parent)) = waiting.pop() {
        let Ok(own) = fs::metadata(&directory).map(|meta| meta.ino()) else {
            continue;
        };
        let inside = inside_parent || own == id;
        if inside {
            ids.insert(own);
        }
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        let below = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        waiting.extend(below.map(|entry| (entry.path(), inside)));
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_contains_itself_and_an_unknown_id_nothing() {
        let Some(mount) = mounts::cgroup2() else {
            return; // This host has no cgroup2 to ask.
        };
        let root = fs::metadata(mount).unwrap().ino();
        assert!(subtree_ids(root).contains(&root));
        assert!(subtree_ids(0).is_empty());
    }
}
