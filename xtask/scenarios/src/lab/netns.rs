//! A network namespace that lives exactly as long as its value.

use std::{fs::File, os::fd::AsRawFd, os::unix::fs::MetadataExt, thread};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};

pub struct Netns {
    file: File,
    pub inode: u64,
}

impl Netns {
    /// A fresh namespace; its counters begin at zero and its `lo` is down.
    pub fn new() -> Result<Self> {
        let file = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("unshare a network namespace")?;
            File::open("/proc/thread-self/ns/net").context("open the new network namespace")
        })?;
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode })
    }

    /// Runs `work` on a thread of its own inside this namespace. Sockets and processes made
    /// there stay in the namespace.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        on_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET).context("enter a network namespace")?;
            work()
        })
    }

    /// Sets `/proc/sys/net/<name>` of this namespace.
    pub fn sysctl(&self, name: &str, value: impl ToString) -> Result<()> {
        let (path, value) = (format!("/proc/sys/net/{name}"), value.to_string());
        self.within(|| std::fs::write(&path, &value).with_context(|| format!("{value} to {path}")))
    }

    pub fn raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }
}

fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        thread::Builder::new()
            .spawn_scoped(scope, work)
            .context("start a laboratory thread")?
            .join()
            .map_err(|_| anyhow!("a laboratory thread died"))?
    })
}
