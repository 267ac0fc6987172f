//! The record of one socket of a listing.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::event::owner_fields;
use crate::snapshot::{Row, Setting};

pub(super) struct RowRecord<'a>(pub &'a Row);

impl Serialize for RowRecord<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let row = self.0;
        let mut map = to.serialize_struct("socket", 27)?;
        map.serialize_field("family", row.family.name())?;
        map.serialize_field("laddr", &row.laddr)?;
        map.serialize_field("lport", &row.lport)?;
        map.serialize_field("raddr", &row.raddr)?;
        map.serialize_field("rport", &row.rport)?;
        map.serialize_field("state", row.state.name())?;
        map.serialize_field("netns", &row.netns)?;
        map.serialize_field("inode", &row.inode)?;
        owner_fields(row.owner.process.as_ref(), &row.owner, &mut map)?;
        map.serialize_field("keepalive", &row.keepalive)?;
        setting(("keepidle_ms", "keepidle_from"), row.keepidle_ms, &mut map)?;
        setting(
            ("keepintvl_ms", "keepintvl_from"),
            row.keepintvl_ms,
            &mut map,
        )?;
        setting(("keepcnt", "keepcnt_from"), row.keepcnt, &mut map)?;
        setting(
            ("user_timeout_ms", "user_timeout_from"),
            row.user_timeout_ms,
            &mut map,
        )?;
        map.serialize_field("next_probe_ms", &row.next_probe_ms)?;
        map.serialize_field("unanswered", &row.unanswered)?;
        map.serialize_field("silence_ms", &row.silence_ms)?;
        map.serialize_field("unacked_bytes", &row.unacked_bytes)?;
        map.serialize_field("detect_idle_ms", &row.detect_idle_ms)?;
        map.serialize_field("detect_data_ms", &row.detect_data_ms)?;
        map.end()
    }
}

/// Writes a value and where it comes from; both are null where the value is not known.
fn setting<M: SerializeStruct, T: Serialize>(
    names: (&'static str, &'static str),
    setting: Option<Setting<T>>,
    map: &mut M,
) -> Result<(), M::Error> {
    let from = setting.as_ref().map(|setting| setting.from.name());
    map.serialize_field(names.0, &setting.map(|setting| setting.value))?;
    map.serialize_field(names.1, &from)
}
