//! `katrace audit`.

use std::path::PathBuf;

use clap::Args;

use super::common::{OutputArgs, SnapshotArgs};
use crate::{
    audit::{Rule, Severity},
    cli::words::OneOf,
};

pub(super) const AFTER_HELP: &str = "\
Findings go to stdout, the most dangerous first; the count and what could not be read to stderr.
docs/audit.md explains each rule: what it sees, why, the fix, when to ignore it.

Examples:
  katrace audit                                    every socket of this host
  katrace audit --path aws-nlb --detect-within 90s against a path and a promise
  katrace audit -D 5432 --path 300s -o json        one service, for a machine
  katrace audit --ignore noisy --fail-on warning   a gate for CI
  katrace audit --plan --detect-within 90s --path aws-nlb
                                                   settings that satisfy both

Exit codes:
  0  nothing found, or nothing as bad as --fail-on says
  1  findings
  2  the command line is wrong, or nothing can satisfy it
  3  this host refuses: privilege, kernel, BTF or lockdown
  4  a fault in katrace itself";

/// Arguments that mean nothing where no socket is read; a group goes by the name of its type.
const READING: [&str; 2] = ["reader", "FilterArgs"];

/// What `katrace audit` takes.
#[derive(Args, Debug)]
pub(in crate::cli) struct AuditArgs {
    #[command(flatten)]
    pub output: OutputArgs,

    /// What lies on the way, by name (--list-paths) or by its idle timeout, such as 300s
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub path: Vec<String>,

    /// More path profiles, or other values for known ones: a TOML file
    #[arg(long, value_name = "FILE")]
    pub paths: Option<PathBuf>,

    /// A dead peer is to be noticed within this time, such as 90s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub detect_within: Option<String>,

    /// A connection is idle for long from this silence on
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5m",
        allow_hyphen_values = true
    )]
    pub idle: String,

    /// Leave these rules out (--rules lists them)
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        value_parser = OneOf::<Rule>::new("rule"),
        hide_possible_values = true
    )]
    pub ignore: Vec<Rule>,

    /// Exit with 1 only for findings this bad: critical, warning or info
    #[arg(
        long,
        value_name = "SEVERITY",
        default_value = "info",
        value_parser = OneOf::<Severity>::new("severity"),
        hide_possible_values = true
    )]
    pub fail_on: Severity,

    /// Print settings that satisfy --detect-within and --path; needs no privilege
    #[arg(long, group = "instead", conflicts_with_all = READING)]
    pub plan: bool,

    /// List the path profiles with their sources
    #[arg(long, group = "instead", conflicts_with_all = READING)]
    pub list_paths: bool,

    /// List the rules
    #[arg(long, group = "instead", conflicts_with_all = READING)]
    pub rules: bool,

    #[command(flatten)]
    pub snapshot: SnapshotArgs,
}
