//! `katrace audit`: its flags and what they mean.

use std::path::PathBuf;

use clap::Args;

use super::{
    args::{OutputArgs, SnapshotArgs},
    error::UsageError,
    parse,
    validate::{self, list, optional, refused, value},
};
use crate::{
    audit::{AuditRequest, AuditSettings, Hop, Profiles, Rule, Severity, Wanted, Yardstick},
    settings::Format,
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

const TIME: &str = "a time such as 5s, 2m, 1h30m";

/// Arguments, and a group by its type's name, that mean nothing where no socket is read.
const READING: [&str; 2] = ["reader", "FilterArgs"];

#[derive(Args, Debug, Default)]
pub(super) struct AuditArgs {
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
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub ignore: Vec<String>,

    /// Exit with 1 only for findings this bad: critical, warning or info
    #[arg(long, value_name = "SEVERITY", default_value = "info")]
    pub fail_on: String,

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

pub(super) fn audit(args: &AuditArgs) -> Result<AuditRequest, UsageError> {
    let output = validate::output(&args.output)?;
    let profiles = profiles(args)?;
    if args.rules {
        return Ok(AuditRequest::Rules { output });
    }
    if args.list_paths {
        return Ok(AuditRequest::Paths { output, profiles });
    }
    let wanted = wanted(args, &profiles)?;
    if args.plan {
        if output == Format::Csv {
            let why = "a plan is no table of rows";
            return Err(refused("-o", "csv", why, "table, json, jsonpretty"));
        }
        let plan = wanted.plan()?;
        return Ok(AuditRequest::Plan {
            output,
            wanted,
            plan,
        });
    }
    let idle = value("--idle", &args.idle, parse::duration, TIME)?;
    Ok(AuditRequest::Judge(Box::new(AuditSettings {
        snapshot: validate::snapshot(&args.snapshot)?,
        output,
        target: wanted.plan_or_usual()?,
        yardstick: Yardstick {
            wanted,
            idle_ms: parse::milliseconds(idle),
        },
        rules: rules(&args.ignore)?,
        fail_on: severity(&args.fail_on)?,
    })))
}

fn profiles(args: &AuditArgs) -> Result<Profiles, UsageError> {
    let built_in = Profiles::built_in()?;
    Ok(match &args.paths {
        Some(file) => built_in.with_file(file)?,
        None => built_in,
    })
}

fn wanted(args: &AuditArgs, profiles: &Profiles) -> Result<Wanted, UsageError> {
    let within = args.detect_within.as_deref();
    let hop = |name: &String| match profiles.named(name) {
        Some(profile) => Ok(Hop::from(profile)),
        None if name.starts_with(|c: char| c.is_ascii_digit()) => {
            let timeout = value("--path", name, parse::duration, TIME)?;
            Ok(Hop::of_timeout(name, parse::milliseconds(timeout)))
        }
        None => Err(refused(
            "--path",
            name,
            "no such profile",
            format!("{profiles}, or a time such as 300s"),
        )),
    };
    Ok(Wanted {
        detect_within_ms: optional("--detect-within", within, parse::duration, TIME)?
            .map(parse::milliseconds),
        hops: args.path.iter().map(hop).collect::<Result<_, _>>()?,
    })
}

fn rules(ignored: &[String]) -> Result<Vec<Rule>, UsageError> {
    let named = |id: &str| Rule::named(id).ok_or_else(|| "no such rule".to_owned());
    let known = || Rule::ALL.map(Rule::id).join(", ");
    let ignored = list("--ignore", ignored, named, known())?;
    let kept = Rule::ALL.into_iter().filter(|rule| !ignored.contains(rule));
    Ok(kept.collect())
}

fn severity(text: &str) -> Result<Severity, UsageError> {
    Severity::ALL
        .into_iter()
        .find(|severity| severity.name() == text)
        .ok_or_else(|| {
            refused(
                "--fail-on",
                text,
                "no such severity",
                Severity::ALL.map(Severity::name).join(", "),
            )
        })
}
