//! The records of a run: `ready`, `lost` and `summary`.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeStruct},
};

use super::Rfc3339;
use crate::{
    event::{EventKind, Hooks, Lost, Ready},
    summary::{Counts, Late, Summary},
};

pub(super) struct ReadyRecord<'a>(pub &'a Ready);

impl Serialize for ReadyRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let ready = self.0;
        let mut map = to.serialize_struct("ready", 8)?;
        map.serialize_field("event", "ready")?;
        map.serialize_field("time", &Rfc3339(ready.time))?;
        map.serialize_field("version", ready.version)?;
        map.serialize_field("kernel", &ready.kernel)?;
        map.serialize_field("attach", ready.attach.name())?;
        map.serialize_field("attach_reason", &ready.attach_reason)?;
        map.serialize_field("hooks", &HooksRecord(&ready.hooks))?;
        map.serialize_field("missing", &ready.missing)?;
        map.end()
    }
}

struct HooksRecord<'a>(&'a Hooks);

impl Serialize for HooksRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Hooks {
            keepalive,
            death,
            reset,
            connect,
            accept,
            destroy,
            passed,
            process,
            noticed,
            holders,
        } = self.0;
        let mut map = to.serialize_struct("hooks", 10)?;
        map.serialize_field("keepalive", keepalive)?;
        map.serialize_field("death", death)?;
        map.serialize_field("reset", reset)?;
        map.serialize_field("connect", connect)?;
        map.serialize_field("accept", accept)?;
        map.serialize_field("destroy", destroy)?;
        map.serialize_field("passed", passed)?;
        map.serialize_field("process", process)?;
        map.serialize_field("noticed", noticed)?;
        map.serialize_field("holders", holders)?;
        map.end()
    }
}

pub(super) struct LostRecord<'a>(pub &'a Lost);

impl Serialize for LostRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_struct("lost", 3)?;
        map.serialize_field("time", &Rfc3339(self.0.time))?;
        map.serialize_field("event", "lost")?;
        map.serialize_field("count", &self.0.count)?;
        map.end()
    }
}

pub(super) struct SummaryRecord<'a>(pub &'a Summary);

impl Serialize for SummaryRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Summary {
            total,
            lost,
            undecodable,
            untracked,
            skipped,
            unknown_owner,
            undecided,
            duration_ms,
            noticed,
            unnoticed,
            unnoticed_count,
            unfollowed,
            others,
            ..
        } = self.0;
        let mut map = to.serialize_struct("summary", 20)?;
        map.serialize_field("event", "summary")?;
        for kind in EventKind::ALL {
            match kind {
                // Null where nobody asked for it: a zero would say that nobody noticed.
                EventKind::Noticed => map.serialize_field(kind.facts().count_word, noticed)?,
                _ => map.serialize_field(kind.facts().count_word, &total.of(*kind))?,
            }
        }
        map.serialize_field("unnoticed", &LateRecords(unnoticed))?;
        map.serialize_field("unnoticed_count", unnoticed_count)?;
        map.serialize_field("unfollowed", unfollowed)?;
        map.serialize_field("lost", lost)?;
        map.serialize_field("unknown_owner", unknown_owner)?;
        map.serialize_field("undecided", undecided)?;
        map.serialize_field("undecodable", undecodable)?;
        map.serialize_field("untracked", untracked)?;
        map.serialize_field("skipped", skipped)?;
        map.serialize_field("duration_ms", duration_ms)?;
        map.serialize_field("timeouts_by_cause", &Causes(total))?;
        map.serialize_field("processes", &Processes(self.0))?;
        map.serialize_field("others", &Tally(others))?;
        map.end()
    }
}

struct LateRecords<'a>(&'a [Late]);

impl Serialize for LateRecords<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(LateRecord))
    }
}

struct LateRecord<'a>(&'a Late);

impl Serialize for LateRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Late { death, dead_ms } = self.0;
        let process = death.owner.process.as_ref();
        let mut map = to.serialize_struct("unnoticed", 12)?;
        map.serialize_field("pid", &process.map(|process| process.pid))?;
        map.serialize_field("comm", &process.map(|process| &*process.comm))?;
        map.serialize_field("laddr", &death.socket.laddr)?;
        map.serialize_field("lport", &death.socket.lport)?;
        map.serialize_field("raddr", &death.socket.raddr)?;
        map.serialize_field("rport", &death.socket.rport)?;
        map.serialize_field("netns", &death.socket.netns)?;
        map.serialize_field("inode", &death.socket.inode)?;
        map.serialize_field("errno", &format_args!("{}", death.errno))?;
        map.serialize_field("dead_ms", dead_ms)?;
        map.serialize_field("closed", &death.closed)?;
        map.end()
    }
}

struct Causes<'a>(&'a Counts);

impl Serialize for Causes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for (cause, count) in self.0.by_cause() {
            map.serialize_entry(cause.name(), &count)?;
        }
        map.end()
    }
}

struct Processes<'a>(&'a Summary);

impl Serialize for Processes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(
            self.0
                .processes()
                .into_iter()
                .map(|(pid, comm, counts)| ProcessRecord { pid, comm, counts }),
        )
    }
}

struct ProcessRecord<'a> {
    pid: u32,
    comm: &'a str,
    counts: &'a Counts,
}

impl Serialize for ProcessRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_struct("process", 9)?;
        map.serialize_field("pid", &self.pid)?;
        map.serialize_field("comm", self.comm)?;
        counts(self.counts, &mut map)?;
        map.end()
    }
}

struct Tally<'a>(&'a Counts);

impl Serialize for Tally<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_struct("others", 7)?;
        counts(self.0, &mut map)?;
        map.end()
    }
}

fn counts<M: SerializeStruct>(counts: &Counts, map: &mut M) -> Result<(), M::Error> {
    for kind in EventKind::ALL {
        map.serialize_field(kind.facts().count_word, &counts.of(*kind))?;
    }
    map.serialize_field("timeouts_by_cause", &Causes(counts))
}
