//! Questions that only this host can answer: whether a process exists, which network namespace is our
//! own, which cgroup a path names.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use super::error::UsageError;
use crate::host_files::mounts;

/// `CGROUP2_SUPER_MAGIC` of include/uapi/linux/magic.h.
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// Refuses a pid that names no process, or a thread that does not lead one.
pub(super) fn check_process(pid: u32) -> Result<(), UsageError> {
    // Bytes, because the name in it may be anything.
    let Ok(status) = fs::read(format!("/proc/{pid}/status")) else {
        return Err(UsageError::NoProcess { pid });
    };
    match leader(&status) {
        Some(process) if process != pid => Err(UsageError::Thread { pid, process }),
        _ => Ok(()),
    }
}

/// The process of a thread, from its `status` file (proc_pid_status(5)). The kernel escapes a line
/// break in the name, so a line that begins with `Tgid:` is the kernel's own.
fn leader(status: &[u8]) -> Option<u32> {
    let tgid = status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Tgid:"))?;
    str::from_utf8(tgid.trim_ascii()).ok()?.parse().ok()
}

/// Inode of the network namespace that katrace itself runs in.
pub(super) fn own_netns() -> Result<u32, UsageError> {
    let inode = fs::metadata("/proc/self/ns/net")
        .map_err(|source| UsageError::NoNetns { source })?
        .ino();
    u32::try_from(inode).map_err(|_| UsageError::NoNetns {
        source: io::ErrorKind::InvalidData.into(),
    })
}

/// Id of a cgroup2 directory. The path is one of the file system, or one within the hierarchy as
/// `/proc/PID/cgroup` shows it. On cgroup2 the inode number is the id (on 64-bit hosts).
pub(super) fn cgroup_id(path: &Path) -> Result<u64, UsageError> {
    let failed = |source| UsageError::Cgroup {
        path: path.to_path_buf(),
        source,
    };
    let in_hierarchy = mounts::cgroup2()
        .zip(path.strip_prefix("/").ok())
        .map(|(mount, relative)| mount.join(relative));
    let mut outcome = probe(path);
    if !matches!(outcome, Ok(Some(_)))
        && let Some(inside) = in_hierarchy
        && let Ok(Some(id)) = probe(&inside)
    {
        outcome = Ok(Some(id));
    }
    outcome
        .map_err(failed)?
        .ok_or_else(|| UsageError::NotCgroup2 {
            path: path.to_path_buf(),
        })
}

/// The inode of a readable cgroup2 directory; `None` if it is something else.
fn probe(path: &Path) -> io::Result<Option<u64>> {
    let meta = fs::metadata(path)?;
    let magic = rustix::fs::statfs(path)?.f_type;
    if !meta.is_dir() || magic != CGROUP2_MAGIC {
        return Ok(None);
    }
    fs::read_dir(path)?;
    Ok(Some(meta.ino()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        process::{Child, Command, Stdio},
    };

    use super::*;

    /// A shell that has given itself this name, and waits for a line on its standard input.
    struct Named(Child);

    impl Named {
        fn start(octal: &str) -> Self {
            let mut child = Command::new("sh")
                .args([
                    "-c",
                    &format!("printf '{octal}' > /proc/$$/comm; echo; read line"),
                ])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            // Its own line says that the name is set.
            let mut ready = [0];
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut ready)
                .unwrap();
            Self(child)
        }
    }

    impl Drop for Named {
        fn drop(&mut self) {
            drop(self.0.stdin.take());
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_process_may_have_any_name() {
        for (octal, name) in [
            ("\\377\\376x", &b"\xff\xfex"[..]),
            ("x\\nTgid:\\t1", b"x\nTgid:\t1"),
        ] {
            let process = Named::start(octal);
            let pid = process.0.id();
            let comm = fs::read(format!("/proc/{pid}/comm")).unwrap();
            assert_eq!(comm.strip_suffix(b"\n"), Some(name));
            assert!(check_process(pid).is_ok());
        }
    }

    #[test]
    fn this_process_exists_and_the_impossible_one_does_not() {
        assert!(check_process(std::process::id()).is_ok());
        let refusal = check_process(u32::MAX).unwrap_err().to_string();
        assert!(
            refusal.starts_with("-p 4294967295: no such process"),
            "{refusal}"
        );
    }

    #[test]
    fn a_plain_directory_is_no_cgroup() {
        let refusal = cgroup_id(Path::new("/proc/self")).unwrap_err();
        assert!(
            matches!(refusal, UsageError::NotCgroup2 { .. }),
            "{refusal}"
        );
        let refusal = cgroup_id(Path::new("/no/such/place")).unwrap_err();
        assert!(matches!(refusal, UsageError::Cgroup { .. }), "{refusal}");
    }

    #[test]
    fn the_root_cgroup_goes_by_both_its_paths() {
        let Some(mount) = mounts::cgroup2() else {
            return; // This host has no cgroup2 to ask.
        };
        let inode = fs::metadata(&mount).unwrap().ino();
        assert_eq!(cgroup_id(&mount).unwrap(), inode);
        assert_eq!(cgroup_id(Path::new("/")).unwrap(), inode);
        let file = mount.join("cgroup.procs");
        assert!(matches!(
            cgroup_id(&file),
            Err(UsageError::NotCgroup2 { .. })
        ));
    }

    #[test]
    fn own_namespace_has_an_inode() {
        assert!(own_netns().unwrap() > 0);
    }
}
