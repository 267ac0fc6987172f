//! From flags as typed to settings: every value read, every name on this host checked.

use std::borrow::Cow;

use globset::{Glob, GlobSet};

use super::{
    args::{FilterArgs, OutputArgs, SnapshotArgs, SocketsArgs, TraceArgs},
    error::UsageError,
    host, parse,
};
use crate::{
    event::{Attach, Family},
    settings::{
        AttachChoice, CommGlobs, Events, Filters, Format, ReaderChoice, Scan, SnapshotSettings,
        SocketsSettings, SortBy, TraceSettings,
    },
    snapshot::namespaces,
};

const EVENTS: &str = "probe, answered, stalled, timeout, reset, noticed, all";
const PORTS: &str = "1 to 65535, or a range such as 8000-8100";

pub(super) fn trace(args: &TraceArgs) -> Result<TraceSettings, UsageError> {
    Ok(TraceSettings {
        output: output(&args.output)?,
        events: events(&args.events)?,
        filters: filters(&args.filters)?,
        duration: optional(
            "-d",
            args.duration.as_deref(),
            parse::duration,
            "a time such as 5s, 2m, 1h30m",
        )?,
        count: optional(
            "-n",
            args.count.as_deref(),
            parse::count,
            "a whole number from 1",
        )?,
        attach: attach(&args.attach)?,
        scan: scan(&args.scan)?,
        verbose: args.verbose,
        stats: args.stats,
        ring_bytes: value(
            "--ring-size",
            &args.ring_size,
            |text| parse::ring_size(text, rustix::param::page_size() as u64),
            "bytes, or a number with k, M or G, up to 1G",
        )?,
    })
}

pub(super) fn sockets(args: &SocketsArgs) -> Result<SocketsSettings, UsageError> {
    Ok(SocketsSettings {
        output: output(&args.output)?,
        read: snapshot(&args.snapshot)?,
        sort: optional("--sort", args.sort.as_deref(), sort, SortBy::WORDS)?,
        dying: args.dying,
        no_keepalive: args.no_keepalive,
        watch: optional(
            "--watch",
            args.watch.as_deref(),
            parse::duration,
            "a time such as 2s or 1m",
        )?,
    })
}

/// What to read; of a network namespace it must be known where it is.
pub(super) fn snapshot(args: &SnapshotArgs) -> Result<SnapshotSettings, UsageError> {
    let filters = filters(&args.filters)?;
    if let (Some(netns), Some(typed)) = (filters.netns, &args.filters.netns)
        && !namespaces::exists(netns)
    {
        return Err(refused(
            "-N",
            typed,
            "no process and no mount is in such a network namespace",
            "an inode as `lsns -t net` shows it, or self",
        ));
    }
    Ok(SnapshotSettings {
        filters,
        reader: reader(&args.reader)?,
    })
}

fn sort(word: &str) -> Result<SortBy, String> {
    SortBy::of(word).ok_or_else(|| "no such column".into())
}

fn reader(text: &str) -> Result<ReaderChoice, UsageError> {
    match text {
        "auto" => Ok(ReaderChoice::Auto),
        "iter" => Ok(ReaderChoice::Iter),
        "diag" => Ok(ReaderChoice::Diag),
        other => Err(refused(
            "--reader",
            other,
            "no such way",
            "auto, iter, diag",
        )),
    }
}

fn filters(args: &FilterArgs) -> Result<Filters, UsageError> {
    let pids = list("-p", &args.pid, parse::pid, "process ids")?;
    pids.iter().try_for_each(|pid| host::check_process(*pid))?;
    Ok(Filters {
        pids,
        comms: comms(&args.comm)?,
        lports: list("-L", &args.lport, parse::ports, PORTS)?,
        rports: list("-D", &args.rport, parse::ports, PORTS)?,
        nets: list(
            "-a",
            &args.addr,
            parse::net,
            "an address, or a network such as 10.0.0.0/8 or 2001:db8::/32",
        )?,
        family: match (args.ipv4, args.ipv6) {
            (true, false) => Some(Family::Ipv4),
            (false, true) => Some(Family::Ipv6),
            (true, true) | (false, false) => None,
        },
        netns: match args.netns.as_deref() {
            Some("self") => Some(host::own_netns()?),
            other => optional(
                "-N",
                other,
                parse::netns,
                "the inode of a network namespace, or self",
            )?,
        },
        cgroup: args.cgroup.as_deref().map(host::cgroup_id).transpose()?,
    })
}

pub(super) fn output(args: &OutputArgs) -> Result<Format, UsageError> {
    if args.json {
        return Ok(Format::Json);
    }
    match args.output.as_str() {
        "table" => Ok(Format::Table),
        "json" => Ok(Format::Json),
        "jsonpretty" => Ok(Format::JsonPretty),
        "csv" => Ok(Format::Csv),
        other => Err(refused(
            "-o",
            other,
            "no such format",
            "table, json, jsonpretty, csv",
        )),
    }
}

fn attach(text: &str) -> Result<AttachChoice, UsageError> {
    match text {
        "auto" => Ok(AttachChoice::Auto),
        "fentry" => Ok(AttachChoice::Only(Attach::Fentry)),
        "kprobe" => Ok(AttachChoice::Only(Attach::Kprobe)),
        "tracepoint" => Ok(AttachChoice::Only(Attach::Tracepoint)),
        other => Err(refused(
            "--attach",
            other,
            "no such way",
            "auto, fentry, kprobe, tracepoint",
        )),
    }
}

fn scan(text: &str) -> Result<Scan, UsageError> {
    match text {
        "auto" => Ok(Scan::Auto),
        "iter" => Ok(Scan::Iter),
        "proc" => Ok(Scan::Proc),
        other => Err(refused("--scan", other, "no such way", "auto, iter, proc")),
    }
}

fn events(names: &[String]) -> Result<Events, UsageError> {
    if names.is_empty() {
        return Ok(Events::default());
    }
    let mut events = Events::NONE;
    for name in names {
        match name.as_str() {
            "all" => events = Events::ALL,
            "probe" => events.probe = true,
            "answered" => events.answered = true,
            "stalled" => events.stalled = true,
            "timeout" => events.timeout = true,
            "reset" => events.reset = true,
            "noticed" => events.noticed = true,
            "lost" => {
                return Err(refused(
                    "-e",
                    name,
                    "always printed, so leave it out",
                    EVENTS,
                ));
            }
            other => return Err(refused("-e", other, "no such event", EVENTS)),
        }
    }
    Ok(events)
}

fn comms(patterns: &[String]) -> Result<Option<CommGlobs>, UsageError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let refuse = |pattern: &str, fault: &globset::Error| {
        refused(
            "-c",
            pattern,
            fault.kind().to_string(),
            "a name, with * ? [] as in a shell",
        )
    };
    let mut set = GlobSet::builder();
    for pattern in patterns {
        if pattern.is_empty() {
            return Err(refused(
                "-c",
                pattern,
                "a name is missing",
                "a name, with * ? [] as in a shell",
            ));
        }
        set.add(Glob::new(pattern).map_err(|fault| refuse(pattern, &fault))?);
    }
    let set = set
        .build()
        .map_err(|fault| refuse(&patterns.join(","), &fault))?;
    Ok(Some(CommGlobs::new(set, patterns.to_vec())))
}

pub(super) fn list<T>(
    flag: &'static str,
    texts: &[String],
    read: impl Fn(&str) -> Result<T, String>,
    accepted: impl Into<Cow<'static, str>>,
) -> Result<Vec<T>, UsageError> {
    let accepted = accepted.into();
    texts
        .iter()
        .map(|text| value(flag, text, &read, accepted.clone()))
        .collect()
}

pub(super) fn optional<T>(
    flag: &'static str,
    text: Option<&str>,
    read: impl Fn(&str) -> Result<T, String>,
    accepted: impl Into<Cow<'static, str>>,
) -> Result<Option<T>, UsageError> {
    text.map(|text| value(flag, text, read, accepted))
        .transpose()
}

pub(super) fn value<T>(
    flag: &'static str,
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
    accepted: impl Into<Cow<'static, str>>,
) -> Result<T, UsageError> {
    read(text).map_err(|why| refused(flag, text, why, accepted))
}

pub(super) fn refused(
    flag: &'static str,
    value: &str,
    why: impl Into<String>,
    accepted: impl Into<Cow<'static, str>>,
) -> UsageError {
    UsageError::Value {
        flag,
        value: value.to_owned(),
        why: why.into(),
        accepted: accepted.into(),
    }
}
