//! The record of one socket event.

use serde::{
    Serialize, Serializer,
    ser::{SerializeSeq, SerializeStruct},
};

use super::Rfc3339;
use crate::event::{Holder, Owner, Process, Runtime, SocketEvent, Value};

pub(super) struct EventRecord<'a>(pub &'a SocketEvent);

impl Serialize for EventRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let SocketEvent {
            time,
            socket,
            owner,
            kind,
        } = self.0;
        let mut map = to.serialize_struct("event", 25)?;
        map.serialize_field("time", &Rfc3339(*time))?;
        map.serialize_field("event", kind.name())?;
        map.serialize_field("family", socket.family.name())?;
        map.serialize_field("laddr", &socket.laddr)?;
        map.serialize_field("lport", &socket.lport)?;
        map.serialize_field("raddr", &socket.raddr)?;
        map.serialize_field("rport", &socket.rport)?;
        map.serialize_field("state", socket.state.name())?;
        map.serialize_field("netns", &socket.netns)?;
        map.serialize_field("inode", &socket.inode)?;
        owner_fields(self.0.process(), owner, &mut map)?;
        map.serialize_field("keepidle_ms", &socket.settings.keepidle_ms)?;
        map.serialize_field("keepintvl_ms", &socket.settings.keepintvl_ms)?;
        map.serialize_field("keepcnt", &socket.settings.keepcnt)?;
        map.serialize_field("user_timeout_ms", &socket.settings.user_timeout_ms)?;
        map.serialize_field("silence_ms", &socket.silence_ms)?;
        kind.each_field(|name, value| map.serialize_field(name, &value))?;
        map.end()
    }
}

/// The process to print and who holds the socket: the same fields in every record.
pub(super) fn owner_fields<M: SerializeStruct>(
    process: Option<&Process>,
    owner: &Owner,
    map: &mut M,
) -> Result<(), M::Error> {
    map.serialize_field("pid", &process.map(|process| process.pid))?;
    map.serialize_field("comm", &process.map(|process| &*process.comm))?;
    map.serialize_field("owners", &Holders(&owner.holders))?;
    map.serialize_field("owner_from", &owner.from.map(|from| from.name()))
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => to.serialize_u64(*count),
            Self::Millis(ms) => to.serialize_f64(*ms),
            Self::Flag(flag) => to.serialize_bool(*flag),
            Self::Word(word) => to.serialize_str(word),
            Self::Error(errno) => to.collect_str(errno),
            Self::Unknown => to.serialize_none(),
        }
    }
}

struct Holders<'a>(&'a [Holder]);

impl Serialize for Holders<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for holder in self.0 {
            list.serialize_element(&HolderRecord(holder))?;
        }
        list.end()
    }
}

struct HolderRecord<'a>(&'a Holder);

impl Serialize for HolderRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Holder { process, fd } = self.0;
        let details = process.details.as_deref();
        let place = details.and_then(|details| details.place.as_ref());
        let mut map = to.serialize_struct("holder", 11)?;
        map.serialize_field("pid", &process.pid)?;
        map.serialize_field("comm", &*process.comm)?;
        map.serialize_field("fd", fd)?;
        map.serialize_field("ppid", &details.map(|details| details.ppid))?;
        map.serialize_field("uid", &details.map(|details| details.uid))?;
        map.serialize_field("exe", &details.and_then(|details| details.exe.as_deref()))?;
        map.serialize_field(
            "cmdline",
            &details.and_then(|details| details.cmdline.as_deref()),
        )?;
        map.serialize_field("cgroup", &place.map(|place| &place.path))?;
        map.serialize_field(
            "container",
            &place
                .and_then(|place| place.container.as_ref())
                .map(|container| ContainerRecord {
                    id: &container.id,
                    runtime: container.runtime.map(Runtime::name),
                }),
        )?;
        map.serialize_field("pod", &place.and_then(|place| place.pod.as_deref()))?;
        map.serialize_field("unit", &place.and_then(|place| place.unit.as_deref()))?;
        map.end()
    }
}

#[derive(Serialize)]
struct ContainerRecord<'a> {
    id: &'a str,
    runtime: Option<&'static str>,
}
