//! One guest: boots a kernel with katrace in it, shows the output of its command and how it ended.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::initramfs::{self, Payload};
use crate::kernels::Kernel;
use crate::proc;
use crate::qemu::{self, Qemu};

/// What the guest's first process prints last, before the command's exit code.
const VERDICT: &str = "katrace-vm: exit ";
/// How much of a dead guest's console its error shows.
const LAST_LINES: usize = 20;
/// Serial console, silent but for a crash, and no reboot after one.
const KERNEL_COMMAND_LINE: &str = "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off";

/// The machine to emulate.
#[derive(Clone, Debug)]
pub struct Machine {
    pub cpus: u32,
    /// In QEMU's notation: `2G`.
    pub memory: String,
    pub timeout: Duration,
}

/// Runs the payload's command in a guest; every line of its output goes to `sink`. Returns the command's exit code.
pub fn execute(
    machine: &Machine,
    kernel: &Kernel,
    payload: &Payload,
    sink: &mut dyn FnMut(&str),
) -> Result<u8> {
    let initramfs = Initramfs::create(kernel, payload)?;
    let mut qemu = prepare(machine, kernel, &initramfs.path())?;
    qemu.args(["-chardev", "stdio,id=console,signal=off"])
        .args(["-serial", "chardev:console"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut guest = qemu.spawn().context("cannot start QEMU")?;
    let console = guest.stdout.take().context("QEMU's console is not piped")?;
    let ending = watch(&lines_of(console), machine.timeout, sink);
    if ending.is_none() {
        // This fails if the guest has ended by itself meanwhile, which is fine.
        let _ = guest.kill();
    }
    let complaints = complaints(&mut guest);
    guest.wait().context("cannot wait for QEMU")?;
    match ending {
        None => bail!(
            "the guest {} did not end within {} s",
            kernel.name,
            machine.timeout.as_secs()
        ),
        Some(Ending::Exit(code)) => Ok(code),
        Some(Ending::Died(last)) => bail!(
            "the guest {} died before its command ended; its last lines:\n{}{complaints}",
            kernel.name,
            last.join("\n")
        ),
    }
}

/// A shell in a guest, on this terminal.
pub fn shell(machine: &Machine, kernel: &Kernel, payload: &Payload) -> Result<()> {
    let initramfs = Initramfs::create(kernel, payload)?;
    let mut qemu = prepare(machine, kernel, &initramfs.path())?;
    qemu.args(["-serial", "mon:stdio"]);
    proc::run(&mut qemu, "running the guest")
}

fn prepare(machine: &Machine, kernel: &Kernel, initramfs: &str) -> Result<Command> {
    let mut qemu = Qemu::ensure()?.command()?;
    if qemu::kvm_usable() {
        // QEMU takes the next accelerator where this one turns out not to work.
        qemu.args(["-accel", "kvm"]);
    }
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max"])
        .args(["-smp", &machine.cpus.to_string(), "-m", &machine.memory])
        .args(["-nodefaults", "-no-reboot", "-display", "none"])
        .args(["-append", KERNEL_COMMAND_LINE])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs);
    Ok(qemu)
}

/// How a guest ended by itself.
enum Ending {
    Exit(u8),
    /// Without a verdict; the last lines of its console.
    Died(Vec<String>),
}

/// Passes lines on until the guest ends; `None` when it takes too long.
fn watch(
    lines: &Receiver<String>,
    timeout: Duration,
    sink: &mut dyn FnMut(&str),
) -> Option<Ending> {
    let deadline = Instant::now() + timeout;
    let mut last: Vec<String> = Vec::new();
    let mut verdict = None;
    // The guest sets its verdict apart with a line break, so an empty line may be its own, not the command's.
    let mut held = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                if let Some(code) = line.strip_prefix(VERDICT) {
                    verdict = code.trim().parse().ok();
                }
                if verdict.is_some() {
                    // What follows is the kernel powering off.
                    continue;
                }
                if held {
                    sink("");
                }
                held = line.is_empty();
                if held {
                    continue;
                }
                sink(&line);
                last.push(line);
                if last.len() > LAST_LINES {
                    last.remove(0);
                }
            }
            Err(RecvTimeoutError::Timeout) => return verdict.map(Ending::Exit),
            Err(RecvTimeoutError::Disconnected) => {
                return Some(verdict.map_or(Ending::Died(last), Ending::Exit));
            }
        }
    }
}

/// The console's lines as they come, read by a thread so that waiting for one can time out.
fn lines_of(console: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if sender.send(clean(&line)).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

/// A line without what the terminal driver adds to its end.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end_matches(['\r', '\n']).to_owned()
}

fn complaints(guest: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = guest.stderr.take() {
        // What cannot be read is not shown; the guest's end is reported either way.
        let _ = stderr.read_to_string(&mut text);
    }
    text
}

/// The archive, in memory: whichever way a guest and this process end, no file is left behind.
struct Initramfs(File);

impl Initramfs {
    fn create(kernel: &Kernel, payload: &Payload) -> Result<Self> {
        let archive = initramfs::assemble(kernel, payload)?;
        // Not closed on exec: QEMU opens it by its number.
        let descriptor = memfd_create("initramfs", MemfdFlags::empty())
            .context("cannot create a file in memory")?;
        let mut file = File::from(descriptor);
        file.write_all(&archive)
            .context("cannot write the guest's initramfs")?;
        Ok(Self(file))
    }

    /// A path that names it in this process's children.
    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(console: &'static str) -> (Option<Ending>, Vec<String>) {
        let mut seen = Vec::new();
        let lines = lines_of(console.as_bytes());
        let ending = watch(&lines, Duration::from_secs(5), &mut |line| {
            seen.push(line.to_owned());
        });
        (ending, seen)
    }

    #[test]
    fn the_verdict_is_taken_and_not_shown() {
        let (ending, seen) =
            watched("one\r\n\r\ntwo\r\n\r\nkatrace-vm: exit 3\r\nreboot: Power down\r\n");
        assert!(matches!(ending, Some(Ending::Exit(3))));
        assert_eq!(seen, ["one", "", "two"]);
    }

    #[test]
    fn a_guest_without_verdict_has_died() {
        let (ending, _) = watched("one\nKernel panic");
        let Some(Ending::Died(last)) = ending else {
            panic!("taken for a clean end");
        };
        assert_eq!(last, ["one", "Kernel panic"]);
    }

    #[test]
    fn a_silent_guest_times_out() {
        let (_sender, lines) = mpsc::channel();
        assert!(watch(&lines, Duration::from_millis(10), &mut |_| ()).is_none());
    }
}
