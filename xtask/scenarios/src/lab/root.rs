//! Programs of another distribution: a tree that they see as their root, with a folder of ours as
//! their /tmp.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::chroot,
};

use super::{
    Netns,
    output::{ended, joined, read_all},
};

/// The user of the tree that servers run as: PostgreSQL refuses to be root.
pub const SERVER_UID: u32 = 102;

pub struct Root {
    tree: PathBuf,
    /// /tmp of every program started here; removed with this value.
    scratch: PathBuf,
}

/// A program with all its children. They share a pid namespace, which ends with it.
pub struct Server {
    child: Child,
    pub name: &'static str,
}

impl Root {
    pub fn new(tree: &Path) -> Result<Self> {
        let scratch = std::env::temp_dir().join(format!("katrace-programs-{}", std::process::id()));
        fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
        chown(&scratch, Some(SERVER_UID), Some(SERVER_UID))?;
        Ok(Self {
            tree: tree.to_owned(),
            scratch,
        })
    }

    /// Writes a file into the programs' /tmp.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.scratch.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// Adds to a file in the programs' /tmp.
    pub fn append(&self, name: &str, text: &str) -> Result<()> {
        let old = fs::read_to_string(self.scratch.join(name))?;
        self.write(name, &(old + text))
    }

    /// Runs a program to its end.
    pub fn run(&self, netns: &Netns, argv: &[&str]) -> Result<()> {
        let mut child = self.spawn(netns, argv, SERVER_UID, Stdio::piped())?;
        let stderr = read_all(child.stderr.take());
        let status = ended(&mut child, 60).with_context(|| format!("{argv:?} did not end"))?;
        ensure!(status.success(), "{argv:?}: {status}: {}", joined(stderr)?);
        Ok(())
    }

    /// Starts a program that stays.
    pub fn serve(
        &self,
        netns: &Netns,
        name: &'static str,
        argv: &[&str],
        uid: u32,
    ) -> Result<Server> {
        let log = fs::File::create(self.scratch.join(format!("{name}.log")))?;
        let child = self.spawn(netns, argv, uid, log.into())?;
        Ok(Server { child, name })
    }

    /// What a server wrote to stderr.
    pub fn log(&self, server: &Server) -> String {
        fs::read_to_string(self.scratch.join(format!("{}.log", server.name))).unwrap_or_default()
    }

    fn spawn(&self, netns: &Netns, argv: &[&str], uid: u32, stderr: Stdio) -> Result<Child> {
        let (program, args) = argv.split_first().context("nothing to run")?;
        // Its own thread: children inherit the thread's root and namespaces, and the test keeps its own.
        netns.within(|| {
            self.enter()
                .with_context(|| format!("enter {}", self.tree.display()))?;
            Command::new(program)
                .args(args)
                .env_clear()
                .env("PATH", "/usr/bin:/usr/sbin")
                .env("LC_ALL", "C")
                .current_dir("/tmp")
                .uid(uid)
                .gid(uid)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(stderr)
                .spawn()
                .with_context(|| format!("start {program}"))
        })
    }

    fn enter(&self) -> Result<()> {
        const NONE: Option<&str> = None;
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
        let bind = |from: &Path, to: &str| {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(from), &self.tree.join(to), NONE, flags, NONE)
        };
        bind(Path::new("/dev"), "dev")?;
        bind(&self.scratch, "tmp")?;
        mount(
            Some("none"),
            &self.tree.join("run"),
            Some("tmpfs"),
            MsFlags::empty(),
            NONE,
        )?;
        chroot(&self.tree)?;
        std::env::set_current_dir("/")?;
        Ok(())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // What cannot be removed is in the machine's folder for temporary files.
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
