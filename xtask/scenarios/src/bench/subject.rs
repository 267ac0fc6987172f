//! One run of a tool: start it, wait until it has attached, read its costs, stop it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Seek},
    process::{Command, Stdio},
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{Signal, kill},
    },
    time::ClockId,
    unistd::Pid,
};

use super::Bench;
use crate::lab::{
    output::{ended, joined, read_all},
    programs::{self, Cost},
    time::wait_until,
};

/// A tool counts as attached when its programs have not changed for this long
const SETTLED: Duration = Duration::from_millis(400);
/// and it has used at most this much CPU time meanwhile. On a busy machine, loading programs alone can take longer than
/// [`SETTLED`].
const STILL: Duration = Duration::from_millis(10);

/// The tools that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool<'a> {
    Nothing,
    /// A program that only sends, and a reader that throws away.
    Floor(&'a str),
    /// The bpftrace script that a user would write.
    Bpftrace(&'a str),
    /// The same, what it prints kept and counted: it does not tell all that it loses.
    BpftraceCounted(&'a str),
    /// katrace with these arguments, its output thrown away.
    Katrace(&'a str, &'a [&'a str]),
}

impl Tool<'_> {
    /// `None` where there is nothing to start, or the host lacks it.
    fn command(&self, bench: &Bench) -> Option<Command> {
        match self {
            Self::Nothing => None,
            Self::Floor(way) => {
                let mut command = Command::new("/proc/self/exe");
                command.args(["floor", "--attach", way, "--object"]);
                command.arg(bench.floor.as_ref()?);
                Some(command)
            }
            Self::Bpftrace(way) | Self::BpftraceCounted(way) => {
                let mut command = Command::new(bench.bpftrace.as_ref()?);
                command.args(["-e", &script(way)]);
                Some(command)
            }
            Self::Katrace(way, args) => {
                let mut command = bench.katrace(way).command(["--stats", "-e", "probe"]);
                command.args(*args);
                Some(command)
            }
        }
    }

    /// Whether it is available here.
    pub fn available(&self, bench: &Bench) -> bool {
        *self == Self::Nothing || self.command(bench).is_some()
    }
}

/// Time, both ends and their ports, at each expiry of the keepalive timer.
pub fn script(way: &str) -> String {
    let timer = match way {
        "fentry" => "(uint64)args.t",
        _ => "arg0",
    };
    format!(
        "{way}:tcp_keepalive_timer {{
            $sk = (struct sock *)({timer} - offsetof(struct sock, sk_timer));
            printf(\"%s %s:%d %s:%d\\n\", strftime(\"%H:%M:%S.%f\", nsecs),
                ntop($sk->__sk_common.skc_rcv_saddr), $sk->__sk_common.skc_num,
                ntop($sk->__sk_common.skc_daddr), bswap($sk->__sk_common.skc_dport));
        }}"
    )
}

/// A process that does not outlive its value.
pub struct Child(pub std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when the process has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One tool running.
pub struct Subject {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    /// What it prints, where that is too much to read meanwhile.
    kept: Option<File>,
}

/// What it has used since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// User and system time of the process.
    pub cpu: Duration,
    /// Time and runs of its programs.
    pub programs: Cost,
    /// Runs that the kernel skipped because another was going on.
    pub skipped: u64,
    /// The most memory that was ever resident, in bytes.
    pub peak: u64,
}

/// Its last output.
pub struct Said {
    pub stdout: String,
    pub stderr: String,
    /// How many of the lines that it printed tell of an event, where they were kept.
    pub lines: Option<u64>,
}

impl Subject {
    /// Starts the tool and returns once it has attached.
    pub fn start(bench: &Bench, tool: Tool) -> Result<Option<Self>> {
        let Some(command) = tool.command(bench) else {
            return Ok(None);
        };
        let mut kept = None;
        // A floor says at its end how much it took.
        let output = match tool {
            Tool::Floor(_) => Stdio::piped(),
            Tool::BpftraceCounted(_) => kept.insert(in_memory()?).try_clone()?.into(),
            Tool::Nothing | Tool::Bpftrace(_) | Tool::Katrace(..) => Stdio::null(),
        };
        let mut subject = Self::spawn(command, output).with_context(|| format!("{tool:?}"))?;
        subject.kept = kept;
        Ok(Some(subject))
    }

    /// The same for any command that holds BPF programs once it has attached.
    pub fn spawn(mut command: Command, stdout: Stdio) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let mut subject = Self {
            stdout: child.stdout.take().map(|out| read_all(Some(out))),
            stderr: Some(read_all(child.stderr.take())),
            child: Child(child),
            kept: None,
        };
        let mut settling = Settling::default();
        let attached = wait_until(Instant::now() + Duration::from_secs(40), || {
            let programs = programs::held_by(subject.pid()).unwrap_or_default();
            let cpu = cpu(subject.pid()).unwrap_or_default();
            subject.has_ended() || settling.is_over(programs, cpu, Instant::now())
        });
        if subject.has_ended() {
            let said = subject.finish()?;
            bail!("it ended at its start: {}{}", said.stdout, said.stderr);
        }
        ensure!(attached, "it did not attach");
        Ok(subject)
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.0.try_wait(), Ok(None))
    }

    pub fn used(&self) -> Result<Used> {
        Ok(Used {
            cpu: cpu(self.pid())?,
            programs: programs::cost(self.pid())?,
            skipped: programs::skipped(self.pid())?,
            peak: peak(self.pid())?,
        })
    }

    /// As with Ctrl-C.
    pub fn stop(self) -> Result<Said> {
        kill(Pid::from_raw(self.pid().try_into()?), Signal::SIGINT).context("interrupt a tool")?;
        self.finish()
    }

    fn pid(&self) -> u32 {
        self.child.0.id()
    }

    fn finish(mut self) -> Result<Said> {
        let status = ended(&mut self.child.0, 10);
        let text = |reader: &mut Option<JoinHandle<String>>| {
            reader
                .take()
                .map(joined)
                .transpose()
                .map(Option::unwrap_or_default)
        };
        let said = Said {
            stdout: text(&mut self.stdout)?,
            stderr: text(&mut self.stderr)?,
            lines: self.kept.take().map(lines_of_events).transpose()?,
        };
        ensure!(status.is_some(), "a tool did not end: {}", said.stderr);
        Ok(said)
    }
}

/// A file for what a tool prints.
pub fn in_memory() -> Result<File> {
    let memory = memfd_create(c"printed", MFdFlags::MFD_CLOEXEC);
    Ok(memory.context("create a file in memory")?.into())
}

/// Those that begin with a time of day.
fn lines_of_events(mut printed: File) -> Result<u64> {
    printed.rewind().context("read what a tool printed")?;
    let mut count = 0;
    for line in BufReader::new(printed).split(b'\n') {
        let line = line.context("read what a tool printed")?;
        count += u64::from(line.first().is_some_and(u8::is_ascii_digit));
    }
    Ok(count)
}

/// User and system time of a process.
fn cpu(pid: u32) -> Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.try_into()?))
        .context("find a process's clock")?;
    Ok(clock.now().context("read a process's clock")?.into())
}

/// Tells when a tool is done with starting.
#[derive(Default)]
struct Settling {
    programs: BTreeSet<u32>,
    cpu: Duration,
    since: Option<Instant>,
}

impl Settling {
    fn is_over(&mut self, programs: BTreeSet<u32>, cpu: Duration, now: Instant) -> bool {
        let busy = cpu.saturating_sub(self.cpu) > STILL;
        if let Some(since) = self.since
            && programs == self.programs
            && !busy
        {
            return !programs.is_empty() && now.duration_since(since) > SETTLED;
        }
        *self = Self {
            programs,
            cpu,
            since: Some(now),
        };
        false
    }
}

/// `VmHWM`, in bytes.
pub fn peak(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: u64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no VmHWM in {path}"))?;
    Ok(kibibytes * 1024)
}

/// The time that a reading needs to be about the same moment on every CPU.
pub fn settle() {
    sleep(Duration::from_millis(300));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_has_settled_once_it_neither_loads_nor_works() {
        let began = Instant::now();
        let ms = Duration::from_millis;
        let mut settling = Settling::default();
        let mut at = |programs: &[u32], cpu, now| {
            settling.is_over(programs.iter().copied().collect(), ms(cpu), began + ms(now))
        };
        // Nothing loaded yet, however long.
        assert!(!at(&[], 0, 0) && !at(&[], 0, 1000));
        assert!(!at(&[7], 50, 1100));
        // At work on the next one.
        assert!(!at(&[7], 300, 1600));
        assert!(!at(&[7, 8], 305, 1700));
        assert!(!at(&[7, 8], 306, 2000));
        assert!(at(&[7, 8], 306, 2150));
    }
}
