//! Everything that CI checks: style, lints, unit tests, then the scenarios on the host and in every guest.

mod bench;
mod place;
mod tally;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

use crate::build::{self, Binaries, Profile};
use crate::kernels::{self, Series};
use crate::qemu::Qemu;
use crate::toolchain::{self, Toolchain};
use crate::vm::Machine;
use crate::{deny, fuzz, initramfs, proc, programs, workspace};
use place::Place;
use tally::Tally;

/// What to narrow the tests to; nothing by default.
#[derive(clap::Args, Debug, Default)]
pub struct Options {
    /// Only the checks of the code: no scenarios.
    #[arg(long, conflicts_with_all = ["host_only", "kernel"])]
    quick: bool,
    /// Scenarios on the running kernel only.
    #[arg(long, conflicts_with = "kernel")]
    host_only: bool,
    /// Scenarios in this guest only: 5.10, 6.1, 6.12 or newest (repeatable).
    #[arg(long, value_name = "K", value_parser = parse_series)]
    kernel: Vec<&'static Series>,
    /// Only the scenario of this name.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Only this backend: fentry, kprobe or tracepoint.
    #[arg(long, value_name = "BACKEND")]
    attach: Option<String>,
    /// Guests at a time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Skip the checks of the code: build, then the scenarios.
    #[arg(long)]
    no_checks: bool,
}

impl Options {
    /// The bench runs with everything else; whoever narrows the tests means scenarios or checks.
    fn includes_bench(&self) -> bool {
        let narrowed = self.quick || self.host_only || !self.kernel.is_empty();
        !narrowed && self.scenario.is_none() && self.attach.is_none()
    }
}

fn parse_series(name: &str) -> Result<&'static Series> {
    kernels::series(name).ok_or_else(|| anyhow!("the kernels are 5.10, 6.1, 6.12 and newest"))
}

/// Returns whether all is well; the last line printed says how many of what.
pub fn run(options: &Options, machine: &Machine) -> Result<bool> {
    let mut total = Tally::default();
    match checks_and_scenarios(options, machine) {
        Ok(tally) => total.add(&tally),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            total.fail(format!("{error:#}"));
        }
    }
    for failure in &total.failures {
        println!("FAILED | {failure}");
    }
    println!("{total}");
    Ok(total.failed == 0)
}

fn checks_and_scenarios(options: &Options, machine: &Machine) -> Result<Tally> {
    let places = places(options);
    let bench = options.includes_bench();
    let downloads = prefetch(&places, options, bench);
    let toolchain = timed("toolchain", toolchain::ensure)?;
    if !options.no_checks {
        timed("format", check_format)?;
    }
    let object = timed("kernel half", || build::kernel_half(&toolchain))?;
    if !options.no_checks {
        timed("lints", || lint(&toolchain, &object))?;
        timed("unit tests", || unit_tests(&object))?;
        timed("dependencies", || deny::run(&deny::Options::default()))?;
        timed("fuzzing", || {
            fuzz::check(&toolchain.compiler, &object, &fuzz::Options::default())
        })?;
    }
    let binaries = timed("static build", || {
        build::user_half(&toolchain.compiler, &object, Profile::Static)
    })?;
    timed("servers, guests' kernels and QEMU", || {
        let joined = downloads.join();
        joined.unwrap_or_else(|_| Err(anyhow!("the downloads' thread ended early")))
    })?;
    let control = timed("control", || build::control(&toolchain))?;
    let mut tally = scenarios(&places, options, machine, &binaries, &control);
    if bench {
        tally.add(&bench::run(&toolchain, &binaries));
    }
    Ok(tally)
}

fn places(options: &Options) -> Vec<Place> {
    if options.quick {
        return Vec::new();
    }
    if options.host_only {
        return vec![Place::Host];
    }
    if !options.kernel.is_empty() {
        return options.kernel.iter().map(|s| Place::Guest(s)).collect();
    }
    let guests = kernels::ALL.iter().map(Place::Guest);
    std::iter::once(Place::Host).chain(guests).collect()
}

impl Options {
    /// Are the servers from the archive needed on this host?
    fn wants_programs(&self) -> bool {
        self.scenario
            .as_deref()
            .is_none_or(|name| name == "real-programs")
    }
}

/// Gets what the scenarios need while the compiler is busy with the rest.
fn prefetch(places: &[Place], options: &Options, bench: bool) -> thread::JoinHandle<Result<()>> {
    let wants_programs =
        places.iter().any(|p| matches!(p, Place::Host)) && options.wants_programs();
    let guests: Vec<&'static Series> = places
        .iter()
        .filter_map(|place| match place {
            Place::Guest(series) => Some(*series),
            Place::Host => None,
        })
        .collect();
    thread::spawn(move || {
        if wants_programs {
            programs::ensure()?;
        }
        if guests.is_empty() {
            return Ok(());
        }
        Qemu::ensure()?;
        initramfs::ensure_busybox()?;
        for series in guests {
            kernels::fetch(series)?;
        }
        if bench {
            initramfs::ensure_tools()?;
        }
        Ok(())
    })
}

fn scenarios(
    places: &[Place],
    options: &Options,
    machine: &Machine,
    binaries: &Binaries,
    control: &Path,
) -> Tally {
    let mut total = Tally::default();
    let (hosts, guests): (Vec<Place>, Vec<Place>) = places
        .iter()
        .partition(|place| matches!(place, Place::Host));
    // The host's scenarios come first and alone: its kernel would feel the guests' load.
    for (places, jobs) in [(hosts, 1), (guests, options.jobs.max(1))] {
        let queue = Mutex::new(VecDeque::from(places));
        let tallies = Mutex::new(Vec::new());
        // A function of its own, so that the lock is not held while the place is at work.
        let next = || locked(&queue).pop_front();
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    while let Some(place) = next() {
                        let started = Instant::now();
                        let tally = place.run(options, machine, binaries, control);
                        let good = tally.failed == 0;
                        report(good, &format!("scenarios, {}", place.name()), started);
                        // Here too: the bench has more to print before the end.
                        for failure in &tally.failures {
                            println!("FAILED | {failure}");
                        }
                        locked(&tallies).push(tally);
                    }
                });
            }
        });
        for tally in locked(&tallies).iter() {
            total.add(tally);
        }
    }
    total
}

/// A worker that panicked has left these plain collections whole.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_format() -> Result<()> {
    let mut fmt = workspace::cargo("fmt");
    proc::run(fmt.args(["--all", "--check"]), "checking the format")
}

fn lint(toolchain: &Toolchain, object: &std::path::Path) -> Result<()> {
    let mut clippy = workspace::cargo("clippy");
    clippy
        .args(["--quiet", "--workspace", "--all-targets"])
        .args(["--", "-D", "warnings"])
        .env("KATRACE_EBPF_OBJECT", object);
    proc::run(&mut clippy, "clippy")?;
    build::lint_kernel_half(toolchain)
}

fn unit_tests(object: &std::path::Path) -> Result<()> {
    let mut test = workspace::cargo("test");
    test.args(["--quiet", "--workspace"])
        .env("KATRACE_EBPF_OBJECT", object);
    proc::run(&mut test, "the unit tests")
}

fn timed<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let result = work();
    report(result.is_ok(), what, started);
    result
}

fn report(good: bool, what: &str, started: Instant) {
    let mark = if good { "ok" } else { "FAILED" };
    println!(
        "{mark:>6} | {what}: {:.1} s",
        started.elapsed().as_secs_f64()
    );
}
