//! Programs of this project on the running kernel, as root.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Error, Result, bail};

use crate::proc;

/// A command as root: itself when this process is root already, else through sudo.
pub fn as_root(program: &Path, make: impl Fn(&OsStr) -> Command) -> Result<Command> {
    if rustix::process::geteuid().is_root() {
        return Ok(make(program.as_os_str()));
    }
    if !proc::on_path("sudo") {
        bail!("loading programs into the kernel needs root: run as root, or install sudo");
    }
    let mut sudo = make(OsStr::new("sudo"));
    sudo.arg("--").arg(program);
    Ok(sudo)
}

/// Becomes `program` with these arguments, as root; its exit code is this process's.
pub fn become_root(program: &Path, args: &[String]) -> Error {
    match as_root(program, |name| Command::new(name)) {
        Ok(mut command) => {
            let error = command.args(args).exec();
            Error::new(error).context(format!("cannot run {}", program.display()))
        }
        Err(error) => error,
    }
}
