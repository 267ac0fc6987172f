//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::build::{self, Profile};
use crate::initramfs::Payload;
use crate::vm::{self, Machine};
use crate::{bench, deny, fuzz, host, kernels, picture, test};

/// Builds, boots, tests and shows katrace.
///
/// What is missing is installed by itself, once, into $KATRACE_CACHE (default: $XDG_CACHE_HOME/katrace or
/// ~/.cache/katrace). Delete that folder to fetch everything anew.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build both halves from source
    Build {
        /// Optimised, as one static binary that runs on any machine of this architecture
        #[arg(long)]
        release: bool,
    },
    /// Build, then run katrace on this host (through sudo when not root)
    #[command(after_help = "Example:\n  cargo xtask run -- -o json -d 10s")]
    Run {
        /// What katrace is given
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// A dead peer in a private pair of network namespaces, traced live, explained line by line
    Demo,
    /// Draw the README's picture: the demo's table, as katrace writes it to a terminal
    Picture {
        /// Where to write the SVG [default: docs/table.svg of the source tree]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Everything that CI checks, what it needs installed first
    #[command(after_help = "Examples:\n  \
        cargo xtask test                      all of it\n  \
        cargo xtask test --host-only          no guests\n  \
        cargo xtask test --kernel 6.12 --attach kprobe --no-checks")]
    Test {
        #[command(flatten)]
        options: test::Options,
        #[command(flatten)]
        machine: MachineOptions,
    },
    /// What tracing costs: the table of docs/dev/performance-notes.md, measured in a guest with 2 CPUs
    #[command(after_help = "Examples:\n  \
        cargo xtask bench                     about three minutes\n  \
        cargo xtask bench --size full         the table's own sizes, about twenty-five minutes\n  \
        cargo xtask bench -o json > bench.json")]
    Bench(bench::Options),
    /// Check the dependencies against deny.toml: licences, duplicates, sources
    Deny(deny::Options),
    /// Fuzz the parsers: give them random input until one fails or the time is over
    #[command(after_help = "Examples:\n  \
        cargo xtask fuzz                      every target, 20 s each\n  \
        cargo xtask fuzz btf --seconds 3600   one target, an hour\n  \
        cargo xtask fuzz btf --input FILE     one input again, as a crash was reported")]
    Fuzz(fuzz::Options),
    /// Boot a stock kernel with katrace in it: a shell, or run COMMAND and power off
    #[command(after_help = "Examples:\n  \
        cargo xtask vm                                        a shell on 6.12 (leave with `poweroff -f`)\n  \
        cargo xtask vm --kernel 5.10 -- katrace -d 5s         one command\n  \
        cargo xtask vm --kernel ./vmlinuz --modules ./lib/modules/6.9.0 -- uname -r")]
    Vm {
        /// 5.10, 6.1, 6.12, newest (the newest 7.x of the archive), or the path of a kernel image
        #[arg(long, value_name = "K", default_value = "6.12")]
        kernel: String,
        /// Tree of that kernel's modules
        #[arg(long, value_name = "DIR")]
        modules: Option<PathBuf>,
        #[command(flatten)]
        machine: MachineOptions,
        /// What to run in the guest; its exit code is passed on
        #[arg(last = true)]
        command: Vec<String>,
    },
}

#[derive(Args)]
struct MachineOptions {
    /// Processors of a guest
    #[arg(long, value_name = "N", default_value_t = 2)]
    cpus: u32,
    /// Memory of a guest
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    memory: String,
    /// How long a guest's command may take: 90, 90s, 12m
    #[arg(long, value_name = "TIME", default_value = "12m", value_parser = parse_time)]
    timeout: Duration,
}

impl From<MachineOptions> for Machine {
    fn from(options: MachineOptions) -> Self {
        Self {
            cpus: options.cpus,
            memory: options.memory,
            timeout: options.timeout,
        }
    }
}

/// The exit code for what goes wrong in xtask itself, apart from the codes of what it runs.
const BROKEN: u8 = 4;

pub fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(BROKEN)
        }
    }
}

fn dispatch(task: Task) -> Result<ExitCode> {
    match task {
        Task::Build { release } => {
            let profile = if release {
                Profile::Static
            } else {
                Profile::Dev
            };
            let binaries = build::all(profile)?;
            println!("{}", build::describe(&binaries.katrace)?);
            Ok(ExitCode::SUCCESS)
        }
        Task::Run { args } => {
            let binaries = build::all(Profile::Dev)?;
            Err(host::become_root(&binaries.katrace, &args))
        }
        Task::Demo => {
            let binaries = build::all(Profile::Static)?;
            let katrace = binaries.katrace.display().to_string();
            let args = ["demo".to_owned(), "--katrace".to_owned(), katrace];
            Err(host::become_root(&binaries.scenarios, &args))
        }
        Task::Picture { out } => {
            let file = picture::draw(out)?;
            println!("{}", file.display());
            Ok(ExitCode::SUCCESS)
        }
        Task::Test { options, machine } => Ok(if test::run(&options, &machine.into())? {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }),
        Task::Bench(options) => Ok(ExitCode::from(bench::run(&options)?)),
        Task::Deny(options) => deny::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Fuzz(options) => Ok(if fuzz::run(&options)? {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }),
        Task::Vm {
            kernel,
            modules,
            machine,
            command,
        } => boot(&kernel, modules, &machine.into(), &command),
    }
}

fn boot(
    kernel: &str,
    modules: Option<PathBuf>,
    machine: &Machine,
    command: &[String],
) -> Result<ExitCode> {
    let kernel = kernels::named(kernel, modules.as_deref())?;
    let binaries = build::all(Profile::Static)?;
    let payload = Payload {
        binaries: &binaries,
        command,
        bench: None,
    };
    if command.is_empty() {
        vm::shell(machine, &kernel, &payload)?;
        return Ok(ExitCode::SUCCESS);
    }
    let code = vm::execute(machine, &kernel, &payload, &mut |line| {
        println!("{line}");
    })?;
    Ok(ExitCode::from(code))
}

fn parse_time(text: &str) -> Result<Duration> {
    let (number, scale) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    match number.parse::<u64>() {
        Ok(count) if count > 0 => Ok(Duration::from_secs(count.saturating_mul(scale))),
        _ => bail!("a time is a number of seconds, or of minutes with an m"),
    }
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("90").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_time("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_time("12m").unwrap(), Duration::from_secs(720));
        assert!(parse_time("0").is_err());
        assert!(parse_time("soon").is_err());
    }
}
