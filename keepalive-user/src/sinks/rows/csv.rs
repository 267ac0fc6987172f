//! A header row, then one row for each socket, with the fields of JSON in their order.

use std::{
    fmt::Display,
    io::{self, Write},
};

use super::super::{
    csv::{Owners, cell, quoted},
    sanitize::Escaped,
};
use crate::snapshot::{Row, Setting};

const HEADER: &str = "family,laddr,lport,raddr,rport,state,netns,inode,pid,comm,owners,owner_from,\
keepalive,keepidle_ms,keepidle_from,keepintvl_ms,keepintvl_from,keepcnt,keepcnt_from,user_timeout_ms,\
user_timeout_from,next_probe_ms,unanswered,silence_ms,unacked_bytes,detect_idle_ms,detect_data_ms";

/// Writes rows below one header.
#[derive(Debug, Default)]
pub struct RowCsv {
    headed: bool,
    scratch: String,
}

impl RowCsv {
    pub(super) fn header(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.headed {
            self.headed = true;
            writeln!(out, "{HEADER}")?;
        }
        Ok(())
    }

    pub(super) fn row(&mut self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        self.header(out)?;
        let owner = &row.owner;
        write!(out, "{},{}", row.family.name(), row.laddr)?;
        write!(out, ",{},{},{}", row.lport, row.raddr, row.rport)?;
        write!(out, ",{},{}", row.state.name(), row.netns)?;
        cell(row.inode, out)?;
        cell(owner.process.as_ref().map(|process| process.pid), out)?;
        out.push(b',');
        if let Some(process) = &owner.process {
            quoted(Escaped(&process.comm), &mut self.scratch, out)?;
        }
        out.push(b',');
        quoted(Owners(owner), &mut self.scratch, out)?;
        cell(owner.from.map(|from| from.name()), out)?;
        cell(row.keepalive, out)?;
        setting(row.keepidle_ms, out)?;
        setting(row.keepintvl_ms, out)?;
        setting(row.keepcnt, out)?;
        setting(row.user_timeout_ms, out)?;
        cell(row.next_probe_ms, out)?;
        cell(Some(row.unanswered), out)?;
        cell(row.silence_ms, out)?;
        cell(Some(row.unacked_bytes), out)?;
        cell(row.detect_idle_ms, out)?;
        cell(row.detect_data_ms, out)?;
        writeln!(out)
    }
}

fn setting<T: Display>(setting: Option<Setting<T>>, out: &mut Vec<u8>) -> io::Result<()> {
    let from = setting.as_ref().map(|setting| setting.from.name());
    cell(setting.map(|setting| setting.value), out)?;
    cell(from, out)
}
