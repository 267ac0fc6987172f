//! The network namespaces of this host, and what each gives its sockets.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Namespace, raw_socket::Defaults, timeouts::RTO_MAX_MS};
use crate::{
    enrich,
    host_files::{self, mounts},
    source::HostError,
};

const OWN: &str = "/proc/self/ns/net";

/// A network namespace and the paths by which it can be entered.
#[derive(Debug)]
pub struct Netns {
    /// Its inode.
    pub netns: u32,
    /// katrace itself runs in it.
    pub own: bool,
    /// Several, because a path ends with its process.
    paths: Vec<PathBuf>,
}

/// Paths remembered of one namespace.
const PATHS: usize = 4;

/// The namespaces that a process is in or that are mounted. katrace's own comes first, the others by inode.
pub fn all() -> Vec<Netns> {
    let mut found: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
    let own = inode(Path::new(OWN));
    let mut add = |path: PathBuf| {
        if let Some(inode) = inode(&path) {
            let paths = found.entry(inode).or_default();
            if paths.len() < PATHS {
                paths.push(path);
            }
        }
    };
    add(PathBuf::from(OWN));
    for pid in enrich::pids() {
        add(PathBuf::from(format!("/proc/{pid}/ns/net")));
    }
    mounts::network_namespaces().into_iter().for_each(&mut add);
    let mut namespaces: Vec<Netns> = found
        .into_iter()
        .map(|(netns, paths)| Netns {
            netns,
            own: own == Some(netns),
            paths,
        })
        .collect();
    namespaces.sort_by_key(|netns| !netns.own);
    namespaces
}

/// Whether a process is in a namespace of this inode, or one is mounted.
pub fn exists(netns: u32) -> bool {
    all().iter().any(|found| found.netns == netns)
}

fn inode(path: &Path) -> Option<u32> {
    u32::try_from(fs::metadata(path).ok()?.ino()).ok()
}

impl Netns {
    /// Runs `work` on a thread inside this namespace; `None` once the namespace is gone. Sockets and iterators that
    /// `work` opens stay in the namespace.
    ///
    /// # Errors
    ///
    /// The namespace cannot be entered (setns(2)), or `work` fails.
    pub fn within<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, HostError> + Send,
    ) -> Result<Option<T>, HostError> {
        let Some(file) = self.open() else {
            return Ok(None);
        };
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                if !self.own {
                    let kind = Some(LinkNameSpaceType::Network);
                    move_into_link_name_space(file.as_fd(), kind).map_err(|errno| {
                        HostError::Namespace {
                            operation: "entering",
                            netns: self.netns,
                            source: errno.into(),
                        }
                    })?;
                }
                work()
            });
            inside
                .join()
                .unwrap_or(Err(HostError::Thread {
                    operation: "working in another network namespace",
                }))
                .map(Some)
        })
    }

    /// By the first path that still leads to this namespace.
    fn open(&self) -> Option<File> {
        self.paths.iter().find_map(|path| {
            // Something else may be mounted there by now.
            let file = host_files::open(path).ok()?;
            (file.metadata().ok()?.ino() == u64::from(self.netns)).then_some(file)
        })
    }

    /// What this namespace gives its sockets. To be called inside it: see [`Netns::within`].
    ///
    /// # Errors
    ///
    /// A sysctl cannot be read.
    pub fn defaults(&self) -> Result<Defaults, HostError> {
        Ok(Defaults {
            namespace: Namespace {
                netns: self.netns,
                keepidle_ms: u64::from(self.sysctl("tcp_keepalive_time")?) * 1000,
                keepintvl_ms: u64::from(self.sysctl("tcp_keepalive_intvl")?) * 1000,
                keepcnt: self.sysctl("tcp_keepalive_probes")?,
                retries2: self.sysctl("tcp_retries2")?,
                own: self.own,
            },
            orphan_retries: self.sysctl("tcp_orphan_retries")?,
            // A sysctl since 6.15; a constant before.
            rto_max_ms: self.sysctl("tcp_rto_max_ms").unwrap_or(RTO_MAX_MS),
        })
    }

    fn sysctl(&self, name: &str) -> Result<u32, HostError> {
        // /proc/sys/net shows the namespace of the thread that opens the file.
        fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"))
            .and_then(|text| text.trim().parse().map_err(std::io::Error::other))
            .map_err(|source| HostError::Namespace {
                operation: "reading the sysctls of",
                netns: self.netns,
                source,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_comes_first_and_tells_its_settings() {
        let found = all();
        assert!(found[0].own && found.iter().skip(1).all(|netns| !netns.own));
        let defaults = found[0].within(|| found[0].defaults()).unwrap().unwrap();
        assert!(defaults.namespace.own && defaults.namespace.keepidle_ms > 0);
        assert!(exists(found[0].netns) && !exists(1));
    }
}
