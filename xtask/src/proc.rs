//! Child processes. None outlives this process, and each error names the operation that failed.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Signal, set_parent_process_death_signal};

/// How many trailing lines of a quiet command's output its error carries.
const TAIL_LINES: usize = 15;

/// A command that the kernel ends when this process ends, however it ends.
///
/// The signal follows the thread that spawned the child, so a thread must wait for the children it starts.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are
    // allowed; it makes one `prctl` system call and neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
    }
    command
}

/// Runs with this process's own output; `what` completes "… failed".
pub fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{what}: cannot start {}", name(command)))?;
    if !status.success() {
        bail!("{what} failed: {} ended with {status}", name(command));
    }
    Ok(())
}

/// Runs silently and returns what was written to stdout; the error carries the last lines of output.
pub fn capture(command: &mut Command, what: &str) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{what}: cannot start {}", name(command)))?;
    if !output.status.success() {
        bail!(
            "{what} failed: {} ended with {}{}",
            name(command),
            output.status,
            tail(&output)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program's name, for messages.
fn name(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let base = program.file_name().unwrap_or(program.as_os_str());
    base.to_string_lossy().into_owned()
}

fn tail(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..]
        .iter()
        .map(|line| format!("\n    {line}"))
        .collect()
}

/// Whether there is a program of this name on `PATH`.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
