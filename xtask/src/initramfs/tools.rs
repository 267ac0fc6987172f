//! What the bench compares katrace with, as Debian ships it: bpftrace, iproute2, and their libraries.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cpio::Writer;
use crate::apt::{Archive, suites};
use crate::{cache, progress};

const PACKAGES: [&str; 2] = ["bpftrace", "iproute2"];
/// Manuals, translations and the like: nothing that a program needs to run.
const LEFT_OUT: &str = "usr/share";

/// The tree of the unpacked packages.
pub fn ensure() -> Result<PathBuf> {
    cache::entry("bench-tools", |dir| {
        progress::step("fetching bpftrace and iproute2", || {
            Archive::open(suites::TRIXIE)?.fetch_with_dependencies(&PACKAGES, dir)?;
            cache::remove(&dir.join(LEFT_OUT))
        })
    })
    .context("cannot get the tools that the bench compares with")
}

/// Adds the tree's programs and libraries, where the dynamic loader looks for them.
pub(super) fn add(archive: &mut Writer, tree: &Path) -> Result<()> {
    add_folder(archive, &tree.join("usr"), "usr")?;
    // The names that programs were linked with; the rest of / is the guest's own.
    archive.symlink("lib64", "usr/lib64");
    archive.symlink("lib/x86_64-linux-gnu", "../usr/lib/x86_64-linux-gnu");
    Ok(())
}

fn add_folder(archive: &mut Writer, dir: &Path, name: &str) -> Result<()> {
    archive.directory(name);
    let listing = || format!("cannot list {}", dir.display());
    let mut entries = fs::read_dir(dir)
        .and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>())
        .with_context(listing)?;
    // So that equal trees give equal archives.
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let reading = || format!("cannot read {}", path.display());
        let metadata = path.symlink_metadata().with_context(reading)?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if metadata.is_dir() {
            add_folder(archive, &path, &name)?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).with_context(reading)?;
            archive.symlink(&name, &target.to_string_lossy());
        } else {
            let content = fs::read(&path).with_context(reading)?;
            archive.file(&name, metadata.permissions().mode() & 0o777, &content);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_links_with_their_modes() {
        let dir = std::env::temp_dir().join(format!("katrace-tools-{}", std::process::id()));
        fs::create_dir_all(dir.join("usr/bin")).unwrap();
        fs::write(dir.join("usr/bin/ss"), b"elf").unwrap();
        fs::set_permissions(dir.join("usr/bin/ss"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("ss", dir.join("usr/bin/netstat")).unwrap();
        let mut archive = Writer::default();
        let added = add(&mut archive, &dir);
        fs::remove_dir_all(&dir).unwrap();
        added.unwrap();

        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        let place = |name: &str| {
            text.find(&format!("{name}\0"))
                .unwrap_or_else(|| panic!("no {name}"))
        };
        assert!(place("usr/bin") < place("usr/bin/netstat"));
        assert!(place("usr/bin/netstat") < place("usr/bin/ss"));
        // The header of a file begins 110 bytes before its name; its mode is the second field.
        let at = place("usr/bin/ss");
        assert_eq!(&text[at - 110 + 14..at - 110 + 22], "000081ED");
        assert!(text.contains("lib64\0"));
    }
}
