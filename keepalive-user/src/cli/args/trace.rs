//! `katrace trace`, which is also katrace without a command.

use clap::Args;

use super::common::{FilterArgs, OutputArgs};
use crate::{
    cli::words::{EventWord, OneOf},
    event::EventKind,
    settings::{AttachChoice, Scan},
};

pub(super) const AFTER_HELP: &str = "\
Lists repeat or take commas. Records go to stdout; the banner, warnings and the summary to stderr.
Lines that say how many records were lost are always printed.

Examples:
  katrace                              every probe and every connection that timed out
  katrace -c 'postgres*' -D 5432       one program, one port
  katrace -e timeout -a 10.0.0.0/8     deaths only, with either end in a network
  katrace -o json -d 5m > events.json  five minutes, one JSON object a line
  katrace sockets                      every socket's settings, once
  katrace --stats > /dev/null          what tracing costs here

Exit codes:
  0  done, also after Ctrl-C, SIGTERM or a closed pipe
  1  the reader of the output took nothing for 5 s at the end: what was not written is said on stderr
  2  the command line is wrong
  3  this host refuses: privilege, kernel, BTF or lockdown
  4  a fault in katrace itself";

/// What `katrace trace` takes.
#[derive(Args, Debug)]
pub(in crate::cli) struct TraceArgs {
    #[command(flatten)]
    pub output: OutputArgs,

    #[arg(
        short,
        long,
        value_name = "LIST",
        value_delimiter = ',',
        help = events_help(),
        value_parser = OneOf::<EventWord>::new("event").explaining(always_printed),
        hide_possible_values = true
    )]
    pub events: Vec<EventWord>,

    /// Stop after this time, such as 5s, 2m or 1h30m
    #[arg(short, long, value_name = "TIME", allow_hyphen_values = true)]
    pub duration: Option<String>,

    /// Stop after this many events
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true)]
    pub count: Option<String>,

    /// How to attach: auto, fentry, kprobe or tracepoint
    #[arg(
        long,
        value_name = "WAY",
        default_value = "auto",
        value_parser = OneOf::<AttachChoice>::new("way"),
        hide_possible_values = true
    )]
    pub attach: AttachChoice,

    /// How to read who holds which descriptor: auto, iter or proc
    #[arg(
        long,
        value_name = "WAY",
        default_value = "auto",
        value_parser = OneOf::<Scan>::new("way"),
        hide_possible_values = true
    )]
    pub scan: Scan,

    /// Ring buffer, such as 64k; rounded up to a power of two
    #[arg(long, value_name = "BYTES", default_value = "2M")]
    pub ring_size: String,

    /// Show the kernel half's log on stderr
    #[arg(short, long)]
    pub verbose: bool,

    /// Say on stderr what katrace itself costs, every 5 s and at the end
    #[arg(long)]
    pub stats: bool,

    #[command(flatten)]
    pub filters: FilterArgs,
}

/// The help for `-e`, from the table of kinds.
fn events_help() -> String {
    let names = |kinds: &[EventKind]| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>();
    let all = EventKind::ALL;
    let mut default = all.to_vec();
    default.retain(|kind| kind.facts().is_default);
    let default = if default == all {
        "all".to_owned()
    } else {
        names(&default).join(", ")
    };
    format!(
        "Kinds to print: {}, or all [default: {default}, but answered only after two or more probes]",
        names(all).join(", ")
    )
}

/// Why a word that is the `event` of a record is still no kind to ask for.
fn always_printed(word: &str) -> Option<&'static str> {
    (word == "lost").then_some("always printed, so leave it out")
}
