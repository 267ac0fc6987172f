//! Which processes hold a socket, read from the descriptor tables in /proc.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};

/// Every process and descriptor in /proc that refers to this inode of sockfs.
pub fn of(inode: u64) -> Result<BTreeSet<(u64, u64)>> {
    let wanted = format!("socket:[{inode}]");
    let mut holders = BTreeSet::new();
    for pid in numbers("/proc")? {
        // A process may end between the listing and the reading.
        let Ok(fds) = numbers(&format!("/proc/{pid}/fd")) else {
            continue;
        };
        for fd in fds {
            if fs::read_link(format!("/proc/{pid}/fd/{fd}"))
                .is_ok_and(|link| link.as_os_str() == wanted.as_str())
            {
                holders.insert((pid, fd));
            }
        }
    }
    Ok(holders)
}

fn numbers(path: &str) -> Result<Vec<u64>> {
    let entries = fs::read_dir(path).with_context(|| format!("list {path}"))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}
