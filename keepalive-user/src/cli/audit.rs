//! From the arguments of `katrace audit` to an [`AuditRequest`].

use super::{
    args::AuditArgs,
    error::UsageError,
    parse, validate,
    value::{optional, refused, value},
};
use crate::{
    audit::{AuditRequest, AuditSettings, Hop, Profiles, Rule, Wanted, Yardstick},
    settings::Format,
};

const TIME: &str = "a time such as 5s, 2m, 1h30m";

pub(super) fn audit(args: &AuditArgs) -> Result<AuditRequest, UsageError> {
    let output = args.output.format();
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
        rules: rules(&args.ignore),
        fail_on: args.fail_on,
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

fn rules(ignored: &[Rule]) -> Vec<Rule> {
    let kept = Rule::ALL.into_iter().filter(|rule| !ignored.contains(rule));
    kept.collect()
}
