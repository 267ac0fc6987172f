//! What tracing costs: katrace, the floor, bpftrace and no tool at all take turns under the same load, and
//! one table says how they compare. In every run events and losses must add up to what the kernel
//! counted, so no tool looks fast because it misses events.

mod cost;
pub mod floor;
mod growth;
mod holders;
mod idle;
mod load;
mod plan;
mod saturation;
mod spread;
mod start;
mod subject;
mod table;
mod window;

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use aya::sys::{Stats, enable_stats};
use clap::ValueEnum;
use nix::sys::resource::{Resource, setrlimit};

use self::{plan::Plan, table::Table};
use crate::lab::{Katrace, time::in_guest};

/// Descriptors that this process and each that it starts may have.
const FILES: u64 = 65_536;

/// Prints a line of progress. Its prefix lets xtask tell progress from the result.
macro_rules! progress {
    ($($words:tt)*) => { eprintln!("bench: {}", format_args!($($words)*)) };
}
pub(crate) use progress;

#[derive(clap::Args)]
pub struct Options {
    /// The katrace to measure
    #[arg(long, value_name = "PATH")]
    katrace: PathBuf,
    /// Object with the programs of least cost
    #[arg(long, value_name = "PATH")]
    floor: Option<PathBuf>,
    /// How much is measured
    #[arg(long, value_enum, default_value = "small")]
    size: Size,
    /// How to print the result
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    /// Rounds in which the tools take turns
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Size {
    Small,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

/// What all measures share.
pub struct Bench {
    katrace: PathBuf,
    floor: Option<PathBuf>,
    bpftrace: Option<PathBuf>,
    ss: Option<PathBuf>,
    plan: Plan,
    /// The kernel counts the programs' time for as long as this is open.
    _stats: OwnedFd,
}

/// Measures everything and prints the table; true when every row was measured.
pub fn run(options: &Options) -> Result<bool> {
    let bench = Bench::prepare(options)?;
    let mut table = Table::new(options.size, bench.plan.rounds)?;
    let steps: [(&str, Step); 6] = [
        ("start to ready", start::measure),
        ("cost of an event", cost::measure),
        ("highest rate", saturation::measure),
        ("more sockets", growth::measure),
        ("many holders", holders::measure),
        ("nothing to do", idle::measure),
    ];
    for (name, step) in steps {
        let began = Instant::now();
        step(&bench, &mut table).with_context(|| format!("measuring: {name}"))?;
        progress!("{name}: {:.0} s", began.elapsed().as_secs_f64());
    }
    match options.output {
        Output::Table => print!("{}", table.markdown()),
        Output::Json => println!("{}", serde_json::to_string(&table)?),
    }
    table.complete()
}

type Step = fn(&Bench, &mut Table) -> Result<()>;

impl Bench {
    fn prepare(options: &Options) -> Result<Self> {
        // Two pipes to each of the processes that hold sockets.
        setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES).context("raise the descriptor limit")?;
        let bench = Self {
            katrace: options.katrace.clone(),
            floor: options.floor.clone(),
            bpftrace: program("bpftrace"),
            ss: program("ss"),
            plan: Plan::of(options.size, options.rounds),
            _stats: enable_stats(Stats::RunTime)
                .context("have the kernel count the time of BPF programs")?,
        };
        if in_guest() {
            // This guest is made for the comparison; without its baselines nothing would be compared.
            for (what, there) in [
                ("the floor's object", bench.floor.is_some()),
                ("bpftrace", bench.bpftrace.is_some()),
                ("ss", bench.ss.is_some()),
            ] {
                ensure!(there, "this guest lacks {what}");
            }
        }
        Ok(bench)
    }

    fn katrace(&self, backend: &str) -> Katrace {
        Katrace {
            path: self.katrace.clone(),
            backend: backend.to_owned(),
            control: None,
        }
    }
}

/// A program of the distribution.
fn program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .map(|dir| Path::new(dir).join(name))
        .into_iter()
        .find(|path| fs::metadata(path).is_ok_and(|file| file.is_file()))
}
