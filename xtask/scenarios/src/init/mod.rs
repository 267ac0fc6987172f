//! The first process of a guest: makes a bare kernel usable, runs one command, powers off.

mod mounts;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    kmod::{ModuleInitFlags, finit_module},
    sys::{
        reboot::{RebootMode, reboot},
        wait::{WaitStatus, wait},
    },
    unistd::{dup2_stderr, dup2_stdin, dup2_stdout, sethostname, setsid, sync},
};

use crate::lab::{link, time::GUEST};

const COMMAND: &str = "/etc/katrace/command";
const CONSOLE: &str = "/dev/console";
const MODULES: &str = "/lib/modules";
/// As a shell answers for a command that could not be started.
const NOT_STARTED: i32 = 127;

pub fn run() -> ExitCode {
    prepare();
    let code = command().unwrap_or_else(|error| {
        complain(&error);
        NOT_STARTED
    });
    // The host looks for this line. The line break before it ends a line that the command left unfinished.
    println!("\nkatrace-vm: exit {code}");
    // A closed console cannot keep the machine up.
    let _ = io::stdout().flush();
    sync();
    let Err(error) = reboot(RebootMode::RB_POWER_OFF);
    complain(&anyhow::Error::from(error).context("power off"));
    ExitCode::FAILURE
}

/// A failure is printed, and the guest goes on: the command may not need it.
fn prepare() {
    mounts::mount_all(complain);
    if let Err(error) = speak_on_console() {
        complain(&error);
    }
    if let Err(error) = load_modules() {
        complain(&error);
    }
    if let Err(error) = link::loopback_up() {
        complain(&error);
    }
    if let Err(error) = sethostname("katrace-vm") {
        complain(&anyhow::Error::from(error).context("set the host name"));
    }
}

fn complain(error: &anyhow::Error) {
    eprintln!("katrace-vm: {error:#}");
}

/// The file `order` names the modules, each after those that it needs.
fn load_modules() -> Result<()> {
    let Ok(order) = fs::read_to_string(Path::new(MODULES).join("order")) else {
        return Ok(());
    };
    for name in order.lines().map(str::trim).filter(|name| !name.is_empty()) {
        let path = Path::new(MODULES).join(name);
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        match finit_module(&file, c"", ModuleInitFlags::empty()) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => complain(&anyhow::Error::from(error).context(format!("load {name}"))),
        }
    }
    Ok(())
}

/// Runs the command, or a shell, to its end; orphans that die meanwhile are reaped.
fn command() -> Result<i32> {
    let words = fs::read_to_string(COMMAND).unwrap_or_default();
    let mut words = words.lines().filter(|word| !word.is_empty());
    let program = words.next().unwrap_or("/bin/sh");
    let mut command = Command::new(program);
    command
        .args(words)
        .env("PATH", "/bin")
        .env("HOME", "/")
        .env("TERM", "linux")
        .env(GUEST, "1")
        .current_dir("/");
    // SAFETY: setsid and ioctl are async-signal-safe, and nothing else happens in the child.
    unsafe { command.pre_exec(own_terminal) };
    let child = command
        .spawn()
        .with_context(|| format!("start {program}"))?;
    wait_for(child.id())
}

/// An initramfs without a console node starts its init with no stdio at all.
fn speak_on_console() -> Result<()> {
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .open(CONSOLE)
        .with_context(|| format!("open {CONSOLE}"))?;
    dup2_stdin(&console)?;
    dup2_stdout(&console)?;
    dup2_stderr(&console)?;
    Ok(())
}

/// A session of its own on the console, without which a shell has no job control and Ctrl-C
/// reaches nobody.
fn own_terminal() -> io::Result<()> {
    setsid()?;
    // SAFETY: TIOCSCTTY takes an integer and touches no memory. A console that is no terminal
    // refuses, which changes nothing for the command.
    unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0) };
    Ok(())
}

fn wait_for(pid: u32) -> Result<i32> {
    loop {
        match wait() {
            Ok(status) => {
                let ended = status
                    .pid()
                    .is_some_and(|ended| ended.as_raw() as u32 == pid);
                match status {
                    WaitStatus::Exited(_, code) if ended => return Ok(code),
                    WaitStatus::Signaled(_, signal, _) if ended => return Ok(128 + signal as i32),
                    _ => {}
                }
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("wait for the command"),
        }
    }
}
