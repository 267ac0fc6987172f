//! Where the scenarios run: on the host's kernel, or in a guest with one of the stock kernels.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::Options;
use super::tally::{self, Line, Tally};
use crate::build::Binaries;
use crate::initramfs::Payload;
use crate::kernels::{self, Series};
use crate::vm::{self, Machine};
use crate::{host, proc, programs};

/// Every backend works on every stock kernel, so each must have been run there.
const BACKENDS: [&str; 3] = ["fentry", "kprobe", "tracepoint"];

#[derive(Clone, Copy, Debug)]
pub enum Place {
    Host,
    Guest(&'static Series),
}

impl Place {
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Guest(series) => series.name,
        }
    }

    /// Runs the scenarios here, printing as they go; what goes wrong with the place itself is one more failure.
    pub fn run(
        self,
        options: &Options,
        machine: &Machine,
        binaries: &Binaries,
        control: &Path,
    ) -> Tally {
        let name = self.name();
        let mut tally = Tally::default();
        let mut sink = |line: &str| show(name, line, &mut tally);
        let ended = match self {
            Self::Host => on_host(options, binaries, control, &mut sink),
            Self::Guest(series) => in_guest(series, options, machine, binaries, &mut sink),
        };
        if let Err(error) = ended.and_then(|code| self.verify(code, options, &tally)) {
            println!("{name:>6} | FAILED: {error:#}");
            tally.fail(format!("{name}: {error:#}"));
        }
        println!("{name:>6} | {tally}");
        tally
    }

    /// Fails unless the scenarios ran to their end, with every backend.
    fn verify(self, code: u8, options: &Options, tally: &Tally) -> Result<()> {
        if tally.total() == 0 {
            bail!("no scenario ran; the command ended with {code}");
        }
        if code != 0 && tally.failed == 0 {
            bail!("no scenario failed, yet the command ended with {code}");
        }
        if let Self::Host = self {
            return Ok(());
        }
        if tally.skipped > 0 {
            bail!(
                "{} scenarios were skipped, and none may be in a guest",
                tally.skipped
            );
        }
        // A single scenario may be one that runs once per kernel, for no backend.
        if options.scenario.is_some() && options.attach.is_none() {
            return Ok(());
        }
        let wanted = match &options.attach {
            Some(backend) => std::slice::from_ref(backend).to_vec(),
            None => BACKENDS.map(str::to_owned).to_vec(),
        };
        for backend in wanted {
            if !tally.backends.contains(&backend) {
                bail!("no scenario ran with the backend {backend}");
            }
        }
        Ok(())
    }
}

fn show(place: &str, line: &str, tally: &mut Tally) {
    match Line::parse(line) {
        Some(result) => {
            tally.count(&result);
            println!("{place:>6} | {result}");
        }
        None if let Some(what) = tally::retry(line) => {
            tally.retry(what);
            println!("{place:>6} | run again | {what}");
        }
        // The totals are printed again by the caller, who also counts what happened to the place itself.
        None if is_total(line) || line.trim().is_empty() => {}
        None => println!("{place:>6} | {line}"),
    }
}

fn is_total(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let mut next = |name: &str| {
        let number = words.next().is_some_and(|word| word.parse::<u32>().is_ok());
        number && words.next() == Some(name)
    };
    next("passed,") && next("failed,") && next("skipped")
}

fn on_host(
    options: &Options,
    binaries: &Binaries,
    control: &Path,
    sink: &mut dyn FnMut(&str),
) -> Result<u8> {
    let katrace = binaries.katrace.display().to_string();
    let mut command = host::as_root(&binaries.scenarios, |name| proc::command(name))?;
    let mut words = arguments(&katrace, options);
    words.extend(["--control".to_owned(), control.display().to_string()]);
    if options.wants_programs() {
        let tree = programs::ensure()?.display().to_string();
        words.extend(["--programs".to_owned(), tree]);
    }
    let mut child = command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the scenarios on this host")?;
    let stdout = child.stdout.take().context("their output is not piped")?;
    for line in BufReader::new(stdout).lines() {
        sink(&line.context("cannot read the scenarios' output")?);
    }
    let status = child.wait().context("cannot wait for the scenarios")?;
    match status.code() {
        Some(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        None => bail!("the scenarios ended with {status}"),
    }
}

fn in_guest(
    series: &Series,
    options: &Options,
    machine: &Machine,
    binaries: &Binaries,
    sink: &mut dyn FnMut(&str),
) -> Result<u8> {
    let kernel = kernels::fetch(series)?;
    let mut command = vec!["katrace-scenarios".to_owned()];
    command.extend(arguments("/bin/katrace", options));
    let payload = Payload {
        binaries,
        command: &command,
        bench: None,
    };
    vm::execute(machine, &kernel, &payload, sink)
}

fn arguments(katrace: &str, options: &Options) -> Vec<String> {
    let mut words = vec!["run".to_owned(), "--katrace".to_owned(), katrace.to_owned()];
    let narrowing = [("--only", &options.scenario), ("--attach", &options.attach)];
    for (flag, value) in narrowing {
        if let Some(value) = value {
            words.extend([flag.to_owned(), value.clone()]);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_recognised() {
        assert!(is_total("12 passed, 0 failed, 1 skipped"));
        assert!(!is_total("12 passed"));
        assert!(!is_total("some passed, 0 failed, 1 skipped"));
    }

    #[test]
    fn a_guest_must_show_every_backend() {
        let tally = Tally {
            passed: 1,
            backends: ["fentry".to_owned()].into(),
            ..Tally::default()
        };
        let guest = Place::Guest(&kernels::ALL[0]);
        let mut options = Options::default();
        assert!(guest.verify(0, &options, &tally).is_err());
        assert!(Place::Host.verify(0, &options, &tally).is_ok());
        options.attach = Some("fentry".to_owned());
        assert!(guest.verify(0, &options, &tally).is_ok());
        assert!(guest.verify(1, &options, &tally).is_err());
        let skipping = Tally {
            skipped: 1,
            ..tally
        };
        assert!(guest.verify(0, &options, &skipping).is_err());
    }

    #[test]
    fn a_place_where_nothing_ran_has_failed() {
        let verified = Place::Host.verify(0, &Options::default(), &Tally::default());
        assert!(verified.is_err());
    }
}
