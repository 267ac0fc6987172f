//! Real servers for the host's scenarios: from the archive, unpacked into a tree that they see as
//! their root. Nothing is installed, and none of the machine's own libraries is used.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::{Archive, suites};
use crate::{cache, progress};

/// What is run, with the shell that initdb calls.
const WANTED: [&str; 8] = [
    "postgresql-17",
    "postgresql-client-17",
    "redis-server",
    "redis-tools",
    "nginx",
    "openssh-server",
    "openssh-client",
    "dash",
];
/// Libraries for parts that are not used: compiled queries, scripts in Perl.
const UNUSED: [&str; 2] = ["libllvm", "libperl"];

/// Links of a merged /usr, and where servers expect to write.
const LINKS: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
const FOLDERS: [&str; 6] = ["dev", "etc", "proc", "run", "tmp", "var"];

const PASSWD: &str = "root:x:0:0::/:/bin/sh\n\
                      sshd:x:101:65534::/run/sshd:/bin/sh\n\
                      postgres:x:102:102::/tmp:/bin/sh\n\
                      nobody:x:65534:65534::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\npostgres:x:102:\nnogroup:x:65534:\n";

/// The tree, fetched the first time.
pub fn ensure() -> Result<PathBuf> {
    cache::entry("programs", |dir| {
        progress::step("fetching PostgreSQL, Redis, nginx and sshd", || fetch(dir))
    })
}

fn fetch(dir: &Path) -> Result<()> {
    let archive = Archive::open(suites::TRIXIE)?;
    archive.fetch(&with_libraries(&archive)?, dir)?;
    furnish(dir).with_context(|| format!("cannot prepare {}", dir.display()))
}

/// The wanted packages and every library that they need. Their scripts and helpers are left out, because no
/// package is configured here.
fn with_libraries(archive: &Archive) -> Result<Vec<String>> {
    let graph = archive.dependency_graph(&WANTED)?;
    let mut found: BTreeSet<&str> = WANTED.into();
    let mut waiting: Vec<&str> = WANTED.into();
    while let Some(package) = waiting.pop() {
        for name in graph.get(package).into_iter().flatten() {
            let library = name.starts_with("lib") || name == "zlib1g";
            let unused = UNUSED.iter().any(|prefix| name.starts_with(prefix));
            if library && !unused && graph.contains_key(name) && found.insert(name) {
                waiting.push(name);
            }
        }
    }
    Ok(found.into_iter().map(str::to_owned).collect())
}

fn furnish(dir: &Path) -> Result<()> {
    for link in LINKS {
        let path = dir.join(link);
        if !path.exists() {
            symlink(format!("usr/{link}"), path)?;
        }
    }
    for folder in FOLDERS {
        fs::create_dir_all(dir.join(folder))?;
    }
    if !dir.join("usr/bin/sh").exists() {
        symlink("dash", dir.join("usr/bin/sh"))?;
    }
    fs::write(dir.join("etc/passwd"), PASSWD)?;
    fs::write(dir.join("etc/group"), GROUP)?;
    Ok(())
}
