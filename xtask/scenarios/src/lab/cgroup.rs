//! A cgroup of our own, in whichever cgroup2 hierarchy is mounted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::time::{deadline, wait_until};

pub struct Cgroup {
    pub path: PathBuf,
}

impl Cgroup {
    /// `None` where no cgroup2 is mounted.
    pub fn new(name: &str) -> Result<Option<Self>> {
        let Some(mount) = cgroup2(&fs::read_to_string("/proc/mounts")?) else {
            return Ok(None);
        };
        let path = mount.join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Some(Self { path }))
    }

    pub fn take(&self, pid: u32) -> Result<()> {
        let file = self.path.join("cgroup.procs");
        fs::write(&file, pid.to_string()).with_context(|| format!("{pid} to {}", file.display()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its last process may still be on its way out.
        wait_until(deadline(0), || fs::remove_dir(&self.path).is_ok());
    }
}

fn cgroup2(mounts: &str) -> Option<PathBuf> {
    let mut fields = mounts.lines().map(|line| line.split_whitespace());
    fields.find_map(|mut line| {
        let (_, mount, kind) = (line.next()?, line.next()?, line.next()?);
        (kind == "cgroup2").then(|| Path::new(mount).to_path_buf())
    })
}

#[cfg(test)]
mod tests {
    use super::cgroup2;

    #[test]
    fn the_unified_hierarchy_is_told_from_the_old_ones() {
        let mounts = "cgroup /a/cpu cgroup rw,cpu 0 0\ncgroup2 /a/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup2(mounts).unwrap().to_str(), Some("/a/unified"));
        assert_eq!(cgroup2("proc /proc proc rw 0 0\n"), None);
    }
}
