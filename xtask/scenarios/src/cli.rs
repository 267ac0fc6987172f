//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::bench;

#[derive(Parser)]
#[command(
    name = "katrace-scenarios",
    version,
    about = "What katrace must show, on real sockets"
)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Run the scenarios against the running kernel, for each backend
    Run(Run),
    /// A dead peer in a private pair of network namespaces, traced live and explained
    Demo {
        /// The katrace to run
        #[arg(long, value_name = "PATH")]
        katrace: PathBuf,
        /// Copy what katrace writes to its terminal to this file, for a picture of it
        #[arg(long, value_name = "FILE")]
        screen: Option<PathBuf>,
    },
    /// What tracing costs, beside what people use today, as one table
    Bench(bench::Options),
    /// Records that say nothing, sent and thrown away
    #[command(hide = true)]
    Floor(bench::floor::Options),
    /// A process that owns sockets, ordered about over stdin
    #[command(hide = true)]
    Actor {
        name: String,
        /// A socket that it held before an exec; may be given again
        #[arg(long, value_name = "FD")]
        adopt: Vec<i32>,
    },
}

#[derive(clap::Args)]
pub struct Run {
    /// The katrace to test
    #[arg(long, value_name = "PATH", required_unless_present = "list")]
    pub katrace: Option<PathBuf>,
    /// The backends to try, commas between them
    #[arg(long, value_delimiter = ',', default_value = "all")]
    pub attach: Vec<Backend>,
    /// Only the scenario of this name; may be given again
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Tree of servers from the archive, for the scenarios that need them
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
    /// Object of the control, for counts through the kernel's tracepoints
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// List the scenarios and run none
    #[arg(long)]
    pub list: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    Fentry,
    Kprobe,
    Tracepoint,
    All,
}

impl Backend {
    /// The names that katrace knows them by.
    pub fn names(chosen: &[Self]) -> Vec<String> {
        let all = chosen.contains(&Self::All);
        [
            (Self::Fentry, "fentry"),
            (Self::Kprobe, "kprobe"),
            (Self::Tracepoint, "tracepoint"),
        ]
        .into_iter()
        .filter(|(backend, _)| all || chosen.contains(backend))
        .map(|(_, name)| name.to_owned())
        .collect()
    }
}
