//! What tracing costs: one guest, the tools side by side, one table.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::build::{self, Binaries, Profile};
use crate::initramfs::{self, BenchKit, FLOOR, Payload};
use crate::vm::{self, Machine};
use crate::{kernels, toolchain};

/// The kernel that the table is about.
const KERNEL: &str = "6.12";
const CPUS: u32 = 2;
/// What lines of progress and of failure begin with: both outputs of the guest's command come over one console.
const ASIDE: [&str; 2] = ["bench: ", "katrace-scenarios: "];

#[derive(clap::Args, Debug)]
pub struct Options {
    /// How much is measured
    #[arg(long, value_enum, default_value = "small")]
    pub size: Size,
    /// How to print the result: Markdown, or one JSON object
    #[arg(short, long, value_parser = ["table", "json"], default_value = "table")]
    pub output: String,
    /// Rounds in which the tools take turns [default: 2 for small, 3 for full]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// Some minutes: does it run, and roughly where do we stand
    Small,
    /// The sizes that the table names
    Full,
}

impl Size {
    fn machine(self) -> Machine {
        let (memory, minutes) = match self {
            Self::Small => ("4G", 15),
            Self::Full => ("10G", 90),
        };
        Machine {
            cpus: CPUS,
            memory: memory.to_owned(),
            timeout: Duration::from_secs(60 * minutes),
        }
    }
}

/// Builds what is measured, measures, prints. The exit code is that of the guest's half: 0 when the table is
/// complete and no event was lost or counted twice unnoticed.
pub fn run(options: &Options) -> Result<u8> {
    let toolchain = toolchain::ensure()?;
    let object = build::kernel_half(&toolchain)?;
    let floor = build::floor(&toolchain)?;
    let binaries = build::user_half(&toolchain.compiler, &object, Profile::Static)?;
    let kit = BenchKit {
        floor,
        tools: initramfs::ensure_tools()?,
    };
    in_guest(options, &binaries, &kit, &mut |line| println!("{line}"))
}

/// The same with everything built; `show` gets the result's lines.
pub fn in_guest(
    options: &Options,
    binaries: &Binaries,
    kit: &BenchKit,
    show: &mut dyn FnMut(&str),
) -> Result<u8> {
    let kernel = kernels::named(KERNEL, None)?;
    let command = command(options);
    let payload = Payload {
        binaries,
        command: &command,
        bench: Some(kit),
    };
    let mut any = false;
    let code = vm::execute(&options.size.machine(), &kernel, &payload, &mut |line| {
        if ASIDE.iter().any(|aside| line.starts_with(aside)) {
            eprintln!("{line}");
        } else {
            any |= !line.is_empty();
            show(line);
        }
    })?;
    if code == 0 && !any {
        bail!("the bench ended well and printed no result");
    }
    Ok(code)
}

fn command(options: &Options) -> Vec<String> {
    let size = match options.size {
        Size::Small => "small",
        Size::Full => "full",
    };
    let mut words = ["katrace-scenarios", "bench", "--katrace", "/bin/katrace"]
        .map(str::to_owned)
        .to_vec();
    words.extend(["--floor".to_owned(), format!("/{FLOOR}")]);
    words.extend(["--size".to_owned(), size.to_owned()]);
    words.extend(["-o".to_owned(), options.output.clone()]);
    if let Some(rounds) = options.rounds {
        words.extend(["--rounds".to_owned(), rounds.to_string()]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_told_all_that_was_asked_for() {
        let words = command(&Options {
            size: Size::Full,
            output: "json".to_owned(),
            rounds: Some(5),
        })
        .join(" ");
        assert!(words.ends_with("--size full -o json --rounds 5"), "{words}");
    }
}
