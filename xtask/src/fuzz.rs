//! The fuzz targets of `fuzz/`: built with the compiler's instrumentation, run for a while, every crash reported
//! with the command that repeats it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::toolchain::{self, Compiler, subcommand};
use crate::{build, proc, progress, workspace};

/// What to fuzz, and for how long.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// A file of fuzz/fuzz_targets without its ending; all of them by default
    target: Option<String>,
    /// How long each target runs
    #[arg(long, value_name = "N", default_value_t = Self::SECONDS, conflicts_with = "input")]
    seconds: u32,
    /// Run the target once, with this input
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

impl Options {
    const SECONDS: u32 = 20;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: None,
            seconds: Self::SECONDS,
            input: None,
        }
    }
}

/// What one input may take before it counts as a hang, in seconds. The targets need microseconds.
const HANG_SECONDS: u32 = 10;
/// What one target may hold, in MiB: far more than its parser ever needs.
const MEMORY_MIB: u32 = 1024;
/// How much of a failed target's log is shown.
const TAIL_LINES: usize = 30;

/// Builds everything, then fuzzes. Returns true if no target found a fault.
///
/// # Errors
///
/// Something cannot be built, or the target has no such name.
pub fn run(options: &Options) -> Result<bool> {
    let toolchain = toolchain::ensure()?;
    let object = build::kernel_half(&toolchain)?;
    let built = Built::new(&toolchain.compiler, &object)?;
    if let (Some(target), Some(input)) = (&options.target, &options.input) {
        return built.once(target, input);
    }
    let failures = built.all(options)?;
    for failure in &failures {
        eprintln!("xtask: {failure}");
    }
    Ok(failures.is_empty())
}

/// The same as a step of the tests: a fault found is an error.
///
/// # Errors
///
/// Something cannot be built, or a target found a fault.
pub fn check(compiler: &Compiler, object: &Path, options: &Options) -> Result<()> {
    let failures = Built::new(compiler, object)?.all(options)?;
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// The targets, ready to run.
struct Built {
    programs: PathBuf,
    /// Where logs, crashes and new inputs go.
    scratch: PathBuf,
}

impl Built {
    fn new(compiler: &Compiler, object: &Path) -> Result<Self> {
        ensure!(
            proc::on_path("c++") || std::env::var_os("CXX").is_some(),
            "libFuzzer is compiled here and needs a C++ compiler: apt install build-essential · \
             dnf install gcc-c++ · pacman -S base-devel · zypper install gcc-c++"
        );
        let program = subcommand::FUZZ.ensure()?;
        let scratch = workspace::target_dir()?.join("fuzz");
        let mut cargo_fuzz = workspace::command(program);
        cargo_fuzz
            .arg("build")
            .arg("--target-dir")
            .arg(&scratch)
            // The instrumentation is not stable yet; this lets the pinned stable compiler accept it.
            .env("RUSTC_BOOTSTRAP", "1")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("KATRACE_EBPF_OBJECT", object);
        progress::step("building the fuzz targets", || {
            proc::capture(&mut cargo_fuzz, "building the fuzz targets")
        })?;
        Ok(Self {
            programs: scratch.join(&compiler.host).join("release"),
            scratch,
        })
    }

    /// Runs the targets asked for, as many at a time as there are processors. Returns one text for each fault.
    fn all(&self, options: &Options) -> Result<Vec<String>> {
        let mut targets = targets()?;
        if let Some(wanted) = &options.target {
            targets.retain(|target| target == wanted);
            if targets.is_empty() {
                bail!(
                    "no fuzz target {wanted}: there are {}",
                    self::targets()?.join(", ")
                );
            }
        }
        let queue = Mutex::new(VecDeque::from(targets));
        let failures = Mutex::new(Vec::new());
        let next = || locked(&queue).pop_front();
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    while let Some(target) = next() {
                        match self.fuzz(&target, options.seconds) {
                            Ok(runs) => progress::say(&format!("fuzzed {target}: {runs} inputs")),
                            Err(error) => locked(&failures).push(format!("{error:#}")),
                        }
                    }
                });
            }
        });
        Ok(failures
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs one target for a while; returns how many inputs it was given.
    fn fuzz(&self, target: &str, seconds: u32) -> Result<u64> {
        let found = self.folder("corpus", target)?;
        let crashes = self.folder("artifacts", target)?;
        let log = self.scratch.join(target).with_extension("log");
        let output =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = output
            .try_clone()
            .with_context(|| format!("cannot share {}", log.display()))?;
        // The first folder takes what is new; the others are only read.
        let status = self
            .program(target)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", crashes.display()))
            .arg("-print_final_stats=1")
            .arg(found)
            .args(seeds(target))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .status()
            .with_context(|| format!("cannot start the fuzz target {target}"))?;
        let text = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        if !status.success() {
            bail!("{}", complaint(target, &text));
        }
        let runs = runs(&text).with_context(|| format!("{target} does not say what it ran"))?;
        ensure!(runs > 0, "the fuzz target {target} ran nothing");
        Ok(runs)
    }

    /// Runs one target on one input, its output shown.
    fn once(&self, target: &str, input: &Path) -> Result<bool> {
        let input = std::path::absolute(input)
            .with_context(|| format!("cannot make {} absolute", input.display()))?;
        let status = self
            .program(target)
            .arg(input)
            .status()
            .with_context(|| format!("cannot start the fuzz target {target}"))?;
        Ok(status.success())
    }

    fn program(&self, target: &str) -> Command {
        let mut program = proc::command(self.programs.join(target));
        program
            .current_dir(workspace::root())
            .arg(format!("-timeout={HANG_SECONDS}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB}"));
        program
    }

    fn folder(&self, kind: &str, target: &str) -> Result<PathBuf> {
        let dir = self.scratch.join(kind).join(target);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }
}

/// A worker that panicked has left these plain collections whole.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of the targets, which are those of their files.
fn targets() -> Result<Vec<String>> {
    let dir = workspace::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    ensure!(!names.is_empty(), "no fuzz target in {}", dir.display());
    Ok(names)
}

/// The inputs of the repository that a target begins with.
fn seeds(target: &str) -> Vec<PathBuf> {
    let root = workspace::root();
    let mut seeds = vec![root.join("fuzz/corpus").join(target)];
    if target == "btf" {
        seeds.push(root.join("keepalive-user/tests/fixtures/btf"));
    }
    seeds
}

/// How many inputs a target says that it was given.
fn runs(log: &str) -> Option<u64> {
    let count = |line: &str| {
        let rest = line.strip_prefix("stat::number_of_executed_units:")?;
        rest.trim().parse().ok()
    };
    log.lines().find_map(count)
}

/// What a crash is reported with: the input, how to run it again, and the end of the log.
fn complaint(target: &str, log: &str) -> String {
    let input = log
        .lines()
        .find_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| path.trim());
    let again = match input {
        Some(path) => format!("input: {path}\nagain: cargo xtask fuzz {target} --input {path}"),
        None => "it wrote no input".to_owned(),
    };
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    let tail: String = lines[from..]
        .iter()
        .map(|line| format!("\n    {line}"))
        .collect();
    format!("the fuzz target {target} found a fault\n{again}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_reported_with_its_input_and_the_command() {
        let log = "INFO: Seed: 1\n==1== ERROR: libFuzzer: timeout\n\
                   artifact_prefix='t/'; Test unit written to t/crash-ab\nBase64: AA==\n";
        let text = complaint("btf", log);
        assert!(text.contains("input: t/crash-ab\n"), "{text}");
        assert!(
            text.contains("cargo xtask fuzz btf --input t/crash-ab\n"),
            "{text}"
        );
        assert!(complaint("btf", "").contains("no input"));
    }

    #[test]
    fn runs_are_what_the_target_counted() {
        let log = "Done 7 runs\nstat::number_of_executed_units: 4711\nstat::peak_rss_mb: 30\n";
        assert_eq!(runs(log), Some(4711));
        assert_eq!(runs("Done"), None);
    }

    #[test]
    fn every_target_has_its_seeds_and_every_seed_its_target() {
        let targets = targets().unwrap();
        for target in &targets {
            for dir in seeds(target) {
                let files = fs::read_dir(&dir).unwrap().count();
                assert!(files > 0, "{}", dir.display());
            }
        }
        for dir in fs::read_dir(workspace::root().join("fuzz/corpus")).unwrap() {
            let name = dir.unwrap().file_name().into_string().unwrap();
            assert!(targets.contains(&name), "{name}");
        }
        let manifest = fs::read_to_string(workspace::root().join("fuzz/Cargo.toml")).unwrap();
        for target in &targets {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target}"
            );
        }
    }
}
