//! From arguments to settings: reads every value, and checks on this host every process, namespace and
//! cgroup that is named.

use globset::{Glob, GlobSet};

use super::{
    args::{FilterArgs, SnapshotArgs, SocketsArgs, TraceArgs},
    error::UsageError,
    host, parse,
    value::{list, optional, refused, value},
    words::EventWord,
};
use crate::{
    event::Family,
    settings::{CommGlobs, Events, Filters, SnapshotSettings, SocketsSettings, TraceSettings},
    snapshot::namespaces,
};

const PORTS: &str = "1 to 65535, or a range such as 8000-8100";

pub(super) fn trace(args: &TraceArgs) -> Result<TraceSettings, UsageError> {
    Ok(TraceSettings {
        output: args.output.format(),
        events: events(&args.events),
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
        attach: args.attach,
        scan: args.scan,
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
        output: args.output.format(),
        read: snapshot(&args.snapshot)?,
        sort: args.sort,
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

/// Which sockets to read. A network namespace must exist: its sockets are read from within it.
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
        reader: args.reader,
    })
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

fn events(words: &[EventWord]) -> Events {
    if words.is_empty() {
        return Events::default();
    }
    words.iter().fold(Events::NONE, |events, word| match word {
        EventWord::All => Events::ALL,
        EventWord::Kind(kind) => events.with(*kind),
    })
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
