//! A program run to its end, in bounded time.

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    thread::{JoinHandle, spawn},
};

use anyhow::{Context, Result, anyhow};

use super::time::{deadline, wait_until};

pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Like `Command::output`, but a program that does not end is killed and reported.
pub fn output(command: &mut Command) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {command:?}"))?;
    let stdout = read_all(child.stdout.take());
    let stderr = read_all(child.stderr.take());
    let status = ended(&mut child, 5);
    let (stdout, stderr) = (joined(stdout)?, joined(stderr)?);
    let status = status.with_context(|| format!("{command:?} did not end\n{stdout}{stderr}"))?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

/// The status of a process that ends by itself within the time; one that does not is killed.
pub fn ended(child: &mut Child, seconds: u64) -> Option<ExitStatus> {
    let mut status = None;
    wait_until(deadline(seconds), || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    if status.is_none() {
        // Both fail only when the process has already ended.
        let _ = child.kill();
        let _ = child.wait();
    }
    status
}

pub fn read_all(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What arrived before an error is reported too.
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

pub fn joined(reader: JoinHandle<String>) -> Result<String> {
    reader
        .join()
        .map_err(|_| anyhow!("a thread that reads a program's output died"))
}
