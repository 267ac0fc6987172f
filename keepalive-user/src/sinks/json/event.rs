//! The record of one socket event.

use serde::{
    Serialize, Serializer,
    ser::{SerializeSeq, SerializeStruct},
};

use super::Rfc3339;
use crate::{
    event::{Holder, Kind, Owner, SocketEvent},
    sinks::text::microseconds,
};

pub(super) struct EventRecord<'a>(pub &'a SocketEvent);

impl Serialize for EventRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let SocketEvent {
            time,
            socket,
            owner,
            kind,
        } = self.0;
        let mut map = to.serialize_struct("event", 24)?;
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
        owner_fields(owner, &mut map)?;
        map.serialize_field("keepidle_ms", &socket.settings.keepidle_ms)?;
        map.serialize_field("keepintvl_ms", &socket.settings.keepintvl_ms)?;
        map.serialize_field("keepcnt", &socket.settings.keepcnt)?;
        map.serialize_field("user_timeout_ms", &socket.settings.user_timeout_ms)?;
        map.serialize_field("silence_ms", &socket.silence_ms)?;
        kind_fields(kind, &mut map)?;
        map.end()
    }
}

/// Whose socket it is: the same in every record.
pub(super) fn owner_fields<M: SerializeStruct>(owner: &Owner, map: &mut M) -> Result<(), M::Error> {
    map.serialize_field("pid", &owner.process.as_ref().map(|process| process.pid))?;
    map.serialize_field(
        "comm",
        &owner.process.as_ref().map(|process| &*process.comm),
    )?;
    map.serialize_field("owners", &Holders(&owner.holders))?;
    map.serialize_field("owner_from", &owner.from.map(|from| from.name()))
}

fn kind_fields<M: SerializeStruct>(kind: &Kind, map: &mut M) -> Result<(), M::Error> {
    match kind {
        Kind::Probe { probe, sent } => {
            map.serialize_field("probe", probe)?;
            map.serialize_field("sent", sent)
        }
        Kind::Answered { unanswered, rtt_ms } => {
            map.serialize_field("unanswered", unanswered)?;
            map.serialize_field("rtt_ms", &rtt_ms.map(microseconds))
        }
        Kind::Stalled {
            unacked_bytes,
            retransmits,
        } => {
            map.serialize_field("unacked_bytes", unacked_bytes)?;
            map.serialize_field("retransmits", retransmits)
        }
        Kind::Timeout {
            cause,
            errno,
            unanswered,
            retransmits,
        } => {
            map.serialize_field("cause", cause.name())?;
            map.serialize_field("errno", &format_args!("{errno}"))?;
            map.serialize_field("unanswered", unanswered)?;
            map.serialize_field("retransmits", retransmits)
        }
        Kind::Reset { errno, after_probe } => {
            map.serialize_field("errno", &format_args!("{errno}"))?;
            map.serialize_field("after_probe", after_probe)
        }
    }
}

struct Holders<'a>(&'a [Holder]);

impl Serialize for Holders<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for holder in self.0 {
            list.serialize_element(&HolderRecord {
                pid: holder.process.pid,
                comm: &holder.process.comm,
                fd: holder.fd,
            })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct HolderRecord<'a> {
    pid: u32,
    comm: &'a str,
    fd: Option<u32>,
}
