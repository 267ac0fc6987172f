//! katrace as a process: started, listened to, stopped.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    Control,
    output::{ended, joined, read_all},
    time::wait_until,
};

/// The binary under test and how it is to attach.
#[derive(Clone)]
pub struct Katrace {
    pub path: PathBuf,
    pub backend: String,
    /// What its counts are compared with, where the host may hide events.
    pub control: Option<Arc<Control>>,
}

/// The result of a start: a tracer, or the reason why this host refuses.
pub enum Start {
    Ready(Tracer),
    Refused(String),
}

/// The reading thread and the waiting threads share a record. Nothing changes it.
pub type Record = Arc<Value>;

pub struct Tracer {
    /// As in [`Katrace`].
    pub control: Option<Arc<Control>>,
    child: Child,
    heard: Arc<Mutex<Heard>>,
    stdout: Option<JoinHandle<Result<()>>>,
    stderr: Option<JoinHandle<String>>,
    /// From the start of the process to its `ready` record.
    pub ready_after: Duration,
}

#[derive(Default)]
struct Heard {
    first_at: Option<Instant>,
    records: Vec<Record>,
    /// The same by namespace: a dozen scenarios look for their own many times a second.
    by_netns: HashMap<u64, Vec<Record>>,
}

pub struct Stopped {
    pub status: ExitStatus,
    pub records: Vec<Record>,
    pub stderr: String,
}

impl Katrace {
    /// `katrace --attach <backend> <args>` with nothing decided about its pipes.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(["--attach", &self.backend])
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Starts `-o json` with these arguments and returns once it is ready or has refused.
    pub fn start<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Start> {
        let began = Instant::now();
        let mut child = self
            .command(["-o", "json"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", self.path.display()))?;
        let stdout = child.stdout.take().context("katrace without stdout")?;
        let stderr = child.stderr.take();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hearing = Arc::clone(&heard);
        let mut tracer = Tracer {
            control: self.control.clone(),
            child,
            heard,
            stdout: Some(std::thread::spawn(move || hear(stdout, &hearing))),
            stderr: Some(read_all(stderr)),
            ready_after: Duration::ZERO,
        };
        let limit = began + Duration::from_secs(60);
        let mut ended = false;
        let begun = wait_until(limit, || {
            ended = !matches!(tracer.child.try_wait(), Ok(None));
            ended || tracer.lock().first_at.is_some()
        });
        if ended {
            let stopped = tracer.finish()?;
            return match stopped.status.code() {
                Some(3) => Ok(Start::Refused(reason(&stopped.stderr))),
                _ => bail!(
                    "katrace ended at its start, {}\n{}",
                    stopped.status,
                    stopped.stderr
                ),
            };
        }
        ensure!(begun, "katrace said nothing for {:.0?}", began.elapsed());
        let (at, first) = {
            let heard = tracer.lock();
            heard
                .first_at
                .zip(heard.records.first().cloned())
                .context("no first record")?
        };
        tracer.ready_after = at.duration_since(began);
        ensure!(
            first["event"] == "ready",
            "the first record is not `ready`: {first}"
        );
        Ok(Start::Ready(tracer))
    }
}

/// Reads records until katrace closes its stdout.
fn hear(stdout: ChildStdout, heard: &Mutex<Heard>) -> Result<()> {
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let record =
            serde_json::from_str(&line).with_context(|| format!("not a JSON record: {line}"))?;
        locked(heard).add(record);
    }
    Ok(())
}

impl Heard {
    fn add(&mut self, record: Value) {
        self.first_at.get_or_insert_with(Instant::now);
        let record = Arc::new(record);
        if let Some(netns) = record["netns"].as_u64() {
            self.by_netns
                .entry(netns)
                .or_default()
                .push(Arc::clone(&record));
        }
        self.records.push(record);
    }
}

impl Start {
    /// For a tracer whose backend is known to work here.
    pub fn ready(self) -> Result<Tracer> {
        match self {
            Self::Ready(tracer) => Ok(tracer),
            Self::Refused(reason) => bail!("katrace refused to start: {reason}"),
        }
    }
}

impl Tracer {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first record.
    pub fn ready(&self) -> Result<Record> {
        self.lock().records.first().cloned().context("no record")
    }

    /// Whether it has something in the kernel for this purpose.
    pub fn hooks(&self, purpose: &str) -> Result<bool> {
        Ok(!self.ready()?["hooks"][purpose].is_null())
    }

    /// Why this backend cannot see the errors that a call hands out, if it says that it cannot.
    pub fn unseen(&self, call: &str) -> Result<Option<String>> {
        let ready = self.ready()?;
        let missing = ready["missing"].as_array().context("no list `missing`")?;
        let mut sentences = missing.iter().filter_map(|sentence| sentence.as_str());
        let found = sentences.find(|sentence| is_unseen(sentence, call));
        Ok(found.map(|sentence| format!("{}: {sentence}", ready["attach"])))
    }

    /// Every record so far.
    pub fn records(&self) -> Vec<Record> {
        self.lock().records.clone()
    }

    /// Every record so far of this namespace.
    pub fn records_in(&self, netns: u64) -> Vec<Record> {
        self.lock()
            .by_netns
            .get(&netns)
            .cloned()
            .unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid().try_into()?);
        kill(pid, signal).with_context(|| format!("{signal} to katrace"))
    }

    /// SIGTERM, then everything it had left to say.
    pub fn stop(self) -> Result<Stopped> {
        self.signal(Signal::SIGTERM)?;
        self.finish()
    }

    /// Waits for an end that was already asked for.
    fn finish(mut self) -> Result<Stopped> {
        let status = ended(&mut self.child, 15).context("katrace did not end in time")?;
        if let Some(reader) = self.stdout.take() {
            reader
                .join()
                .map_err(|_| anyhow!("the thread that reads katrace died"))??;
        }
        let stderr = self
            .stderr
            .take()
            .map(joined)
            .transpose()?
            .unwrap_or_default();
        let records = std::mem::take(&mut self.lock().records);
        Ok(Stopped {
            status,
            records,
            stderr,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        locked(&self.heard)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Both fail only when the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stopped {
    pub fn count(&self, event: &str) -> u64 {
        self.records
            .iter()
            .filter(|record| record["event"] == event)
            .count() as u64
    }

    /// What the `lost` lines add up to.
    pub fn lost(&self) -> u64 {
        self.records
            .iter()
            .filter(|record| record["event"] == "lost")
            .fold(0, |sum, record| sum + record["count"].as_u64().unwrap_or(0))
    }

    /// The last record, after a clean end.
    pub fn summary(&self) -> Result<&Record> {
        ensure!(
            self.status.code() == Some(0),
            "katrace ended with {}",
            self.status
        );
        let last = self.records.last().context("katrace printed nothing")?;
        ensure!(
            last["event"] == "summary",
            "the last record is not the summary: {last}"
        );
        Ok(last)
    }
}

fn locked(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `noticed: splice, getsockopt cannot be seen: …` names the call.
fn is_unseen(sentence: &str, call: &str) -> bool {
    sentence
        .strip_prefix("noticed:")
        .and_then(|text| text.split_once(" cannot be seen"))
        .is_some_and(|(calls, _)| calls.split([',', ' ']).any(|word| word == call))
}

/// The first line that states a reason; the rest is advice or a verifier's log.
fn reason(stderr: &str) -> String {
    let mut lines = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines.next().unwrap_or("no reason given").to_owned()
}

#[cfg(test)]
mod tests {
    use super::is_unseen;

    #[test]
    fn calls_that_cannot_be_seen() {
        let sentence = "noticed: recv, send and splice cannot be seen: no trampolines";
        for call in ["recv", "send", "splice"] {
            assert!(is_unseen(sentence, call), "{call}");
        }
        assert!(!is_unseen(sentence, "connect"));
        assert!(!is_unseen("reset: recv cannot be seen", "recv"));
    }
}
