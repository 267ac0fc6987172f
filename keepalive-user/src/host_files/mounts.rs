//! The mounts that katrace sees: /proc/self/mountinfo (proc_pid_mountinfo(5)).
//!
//! A path may hold any bytes, so nothing here is text before it is shown. The kernel writes a space, a tab, a newline,
//! a backslash and `#` of a path as a backslash and three octal digits (`seq_path_root`, mangle_path).

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use super::read_start;

const MOUNTINFO: &str = "/proc/self/mountinfo";
/// Bytes of mountinfo that are read: 100,000 mounts of usual length.
const MAX: u64 = 16 << 20;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// What of its file system is mounted; `/` for the whole of it, `net:[INODE]` for a network namespace.
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The type of its file system, such as `cgroup2`.
    pub kind: &'a [u8],
}

/// Where the cgroup2 hierarchy is mounted: the first such mount. `None` if there is none, or mountinfo cannot be read.
pub fn cgroup2() -> Option<PathBuf> {
    first_cgroup2(&mountinfo())
}

/// Where network namespaces are mounted (`ip netns`, container engines); none if mountinfo cannot be read.
pub fn network_namespaces() -> Vec<PathBuf> {
    mounted_namespaces(&mountinfo())
}

/// The mounts of a mountinfo text. A line that is none is left out.
///
/// ```
/// use katrace::host_files::mounts::parse;
///
/// let text = b"31 24 0:27 / /mnt/two\\040words rw - tmpfs tmpfs rw\n";
/// let mount = parse(text).next().unwrap();
/// assert_eq!(mount.point.to_str(), Some("/mnt/two words"));
/// assert_eq!(mount.kind, b"tmpfs");
/// ```
pub fn parse(mountinfo: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(line)
}

fn mountinfo() -> Vec<u8> {
    read_start(Path::new(MOUNTINFO), MAX).unwrap_or_default()
}

fn first_cgroup2(mountinfo: &[u8]) -> Option<PathBuf> {
    let mut mounts = parse(mountinfo);
    Some(mounts.find(|mount| mount.kind == b"cgroup2")?.point)
}

fn mounted_namespaces(mountinfo: &[u8]) -> Vec<PathBuf> {
    parse(mountinfo)
        .filter(|mount| {
            let root = mount.root.as_os_str().as_encoded_bytes();
            mount.kind == b"nsfs" && root.starts_with(b"net:")
        })
        .map(|mount| mount.point)
        .collect()
}

/// Id, parent, device, root, point, options, any number of optional fields, a lone dash, type, source, options.
fn line(line: &[u8]) -> Option<Mount<'_>> {
    let mut fields = line.split(|byte| *byte == b' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mount {
        root: unescape(root),
        point: unescape(point),
        kind,
    })
}

/// Decodes `\040` and the like. A backslash that begins no such escape stands for itself.
fn unescape(escaped: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((first, after)) = rest.split_first() {
        let escape = if *first == b'\\' { octal(after) } else { None };
        match escape {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

/// A byte out of three octal digits, and what follows them.
fn octal(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = digits.split_first_chunk::<3>()?;
    let digits = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` would take a sign.
    if digits.starts_with('+') {
        return None;
    }
    Some((u8::from_str_radix(digits, 8).ok()?, after))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cgroup2_mount_is_found_among_the_others() {
        let text = b"\
31 24 0:27 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw
33 31 0:29 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,name=systemd
";
        let unified = Some(PathBuf::from("/sys/fs/cgroup/unified"));
        assert_eq!(first_cgroup2(text), unified);
        assert_eq!(first_cgroup2(b"nonsense\n"), None);
    }

    #[test]
    fn mounts_of_network_namespaces_alone_are_taken() {
        let text = b"\
31 24 0:27 / /sys rw - sysfs sysfs rw
40 24 0:4 net:[4026532001] /run/netns/blue rw shared:9 - nsfs nsfs rw
41 24 0:4 mnt:[4026532002] /run/snapd/ns/x rw - nsfs nsfs rw
";
        assert_eq!(mounted_namespaces(text), [PathBuf::from("/run/netns/blue")]);
        assert!(mounted_namespaces(b"nonsense\n - nsfs ").is_empty());
    }

    #[test]
    fn a_path_that_is_no_utf_8_hides_neither_itself_nor_the_rest() {
        let text = b"\
30 24 0:26 / /mnt/caf\xe9 rw - tmpfs tmpfs rw
40 24 0:4 net:[4026532001] /run/netns/\xff\\040\\134 rw shared:9 - nsfs nsfs rw
32 31 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
";
        let found = mounted_namespaces(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].as_os_str().as_bytes(), b"/run/netns/\xff \\");
        assert_eq!(first_cgroup2(text), Some(PathBuf::from("/sys/fs/cgroup")));
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in ["\\", "\\04", "\\8", "\\+12", "\\400", "\\\\"] {
            assert_eq!(unescape(text.as_bytes()), PathBuf::from(text));
        }
        assert_eq!(unescape(b"a\\043b\\011"), PathBuf::from("a#b\t"));
    }

    #[test]
    fn this_process_sees_its_own_root() {
        assert!(parse(&mountinfo()).any(|mount| mount.point == Path::new("/")));
    }

    /// As the kernel writes a path.
    fn escape(path: &[u8]) -> Vec<u8> {
        path.iter()
            .flat_map(|byte| match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
                plain => vec![*plain],
            })
            .collect()
    }

    proptest! {
        #[test]
        fn every_path_comes_back(path in proptest::collection::vec(any::<u8>(), 1..64)) {
            let mut text = b"31 24 0:27 / ".to_vec();
            text.extend(escape(&path));
            text.extend(b" rw shared:9 - tmpfs tmpfs rw\n");
            let found: Vec<_> = parse(&text).collect();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].point.as_os_str().as_bytes(), path);
        }

        #[test]
        fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&text).count();
        }
    }
}
