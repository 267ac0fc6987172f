//! The file systems that a program expects to find.

use std::fs;

use anyhow::Error;
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
};

const MOUNTS: &[(&str, &str)] = &[
    ("/proc", "proc"),
    ("/sys", "sysfs"),
    ("/dev", "devtmpfs"),
    ("/sys/fs/cgroup", "cgroup2"),
    ("/sys/fs/bpf", "bpf"),
    ("/sys/kernel/tracing", "tracefs"),
    ("/tmp", "tmpfs"),
    ("/run", "tmpfs"),
];

pub fn mount_all(complain: fn(&Error)) {
    for (target, kind) in MOUNTS {
        // Where a directory cannot be made, as in sysfs, the mount fails and says so.
        let _ = fs::create_dir_all(target);
        match mount(
            Some(*kind),
            *target,
            Some(*kind),
            MsFlags::empty(),
            None::<&str>,
        ) {
            // The kernel may have mounted /dev itself.
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(error) => {
                complain(&Error::from(error).context(format!("mount {kind} on {target}")));
            }
        }
    }
}
