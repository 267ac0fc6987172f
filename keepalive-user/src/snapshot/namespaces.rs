//! The network namespaces of this host, and what each gives its sockets.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Namespace, detect::RTO_MAX_MS, facts::Defaults};
use crate::{enrich, source::HostError};

const OWN: &str = "/proc/self/ns/net";

/// A network namespace and the ways to it.
#[derive(Debug)]
pub struct Place {
    pub netns: u32,
    pub own: bool,
    /// Several, since the process behind one may end.
    ways: Vec<PathBuf>,
}

/// Ways remembered of one namespace.
const WAYS: usize = 4;

/// The namespaces that a process lives in or that are mounted, this one first, then by inode.
pub fn all() -> Vec<Place> {
    let mut found: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
    let own = inode(Path::new(OWN));
    let mut add = |way: PathBuf| {
        if let Some(inode) = inode(&way) {
            let ways = found.entry(inode).or_default();
            if ways.len() < WAYS {
                ways.push(way);
            }
        }
    };
    add(PathBuf::from(OWN));
    for pid in enrich::pids() {
        add(PathBuf::from(format!("/proc/{pid}/ns/net")));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounted(&mounts).for_each(&mut add);
    let mut places: Vec<Place> = found
        .into_iter()
        .map(|(netns, ways)| Place {
            netns,
            own: own == Some(netns),
            ways,
        })
        .collect();
    places.sort_by_key(|place| !place.own);
    places
}

/// Whether a namespace of this inode is to be found.
pub fn exists(netns: u32) -> bool {
    all().iter().any(|place| place.netns == netns)
}

fn inode(path: &Path) -> Option<u32> {
    u32::try_from(fs::metadata(path).ok()?.ino()).ok()
}

/// Mount points of network namespaces (`ip netns`, container engines) in a mountinfo text
/// (proc_pid_mountinfo(5)): the fourth field is what is mounted, the fifth where.
fn mounted(mountinfo: &str) -> impl Iterator<Item = PathBuf> {
    mountinfo.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (kind.starts_with("nsfs ") && root.starts_with("net:")).then(|| PathBuf::from(point))
    })
}

impl Place {
    /// Runs `work` on a thread inside this namespace; `None` once the namespace is gone. Sockets and
    /// iterators opened there stay there.
    pub fn within<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, HostError> + Send,
    ) -> Result<Option<T>, HostError> {
        let Some(file) = self.open() else {
            return Ok(None);
        };
        thread::scope(|scope| {
            let there = scope.spawn(|| {
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
            there
                .join()
                .unwrap_or(Err(HostError::Thread {
                    operation: "working in another network namespace",
                }))
                .map(Some)
        })
    }

    /// By the first way that still leads there.
    fn open(&self) -> Option<File> {
        self.ways.iter().find_map(|way| {
            let file = File::open(way).ok()?;
            (file.metadata().ok()?.ino() == u64::from(self.netns)).then_some(file)
        })
    }

    /// What the calling thread's namespace, which is this one, gives its sockets.
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
            // Since 6.15; before, the maximum is a constant.
            rto_max_ms: self.sysctl("tcp_rto_max_ms").unwrap_or(RTO_MAX_MS),
        })
    }

    fn sysctl(&self, name: &str) -> Result<u32, HostError> {
        // /proc/sys/net shows the namespace of the thread that opens it.
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
    fn mounts_of_network_namespaces_alone_are_taken() {
        let text = "\
31 24 0:27 / /sys rw - sysfs sysfs rw
40 24 0:4 net:[4026532001] /run/netns/blue rw shared:9 - nsfs nsfs rw
41 24 0:4 mnt:[4026532002] /run/snapd/ns/x rw - nsfs nsfs rw
";
        let found: Vec<PathBuf> = mounted(text).collect();
        assert_eq!(found, [PathBuf::from("/run/netns/blue")]);
        assert_eq!(mounted("nonsense\n - nsfs ").count(), 0);
    }

    #[test]
    fn this_namespace_comes_first_and_tells_its_settings() {
        let places = all();
        assert!(places[0].own && places.iter().skip(1).all(|place| !place.own));
        let defaults = places[0].within(|| places[0].defaults()).unwrap().unwrap();
        assert!(defaults.namespace.own && defaults.namespace.keepidle_ms > 0);
        assert!(exists(places[0].netns) && !exists(1));
    }
}
