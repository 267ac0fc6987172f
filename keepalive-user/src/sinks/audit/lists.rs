//! The path profiles and the rules of the audit.

use std::io::{self, Write};

use serde::Serialize;

use super::wrap::{COLUMNS, wrapped};
use crate::{
    audit::{Live, Profile, Profiles, Rule},
    settings::Format,
    sinks::{
        csv::{cell, quoted},
        json::Json,
        sanitize::Escaped,
    },
};

#[derive(Serialize)]
struct PathRecord<'a> {
    name: &'a str,
    hop: &'a str,
    idle_timeout_ms: u64,
    probe_resets: &'static str,
    range: Option<&'a str>,
    live: Option<&'static str>,
    source: Option<&'a str>,
    date: Option<&'a str>,
}

impl<'a> From<&'a Profile> for PathRecord<'a> {
    fn from(profile: &'a Profile) -> Self {
        Self {
            name: &profile.name,
            hop: &profile.hop,
            idle_timeout_ms: profile.idle_timeout_ms,
            probe_resets: profile.probe_resets.name(),
            range: profile.range.as_deref(),
            live: profile.live.map(Live::name),
            source: profile.source.as_deref(),
            date: profile.date.as_deref(),
        }
    }
}

/// Writes the profiles.
pub fn paths(format: Format, profiles: &Profiles, out: &mut Vec<u8>) -> io::Result<()> {
    let mut records = profiles.iter().map(PathRecord::from);
    match format {
        Format::Table => {
            writeln!(
                out,
                "{:<16} {:>8} {:<12} WHAT",
                "NAME", "IDLE", "PROBE RESETS"
            )?;
            records.try_for_each(|record| path_lines(&record, out))
        }
        Format::Json => records.try_for_each(|record| Json::compact().write(&record, out)),
        Format::JsonPretty => records.try_for_each(|record| Json::pretty().write(&record, out)),
        Format::Csv => {
            writeln!(
                out,
                "name,hop,idle_timeout_ms,probe_resets,range,live,source,date"
            )?;
            records.try_for_each(|record| path_row(&record, out))
        }
    }
}

fn path_lines(record: &PathRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let first = format!(
        "{:<16} {:>6} s {:<12} ",
        record.name,
        record.idle_timeout_ms / 1000,
        record.probe_resets
    );
    let next = " ".repeat(first.len());
    let hop = match record.range {
        Some(range) => format!("{}; {range}", record.hop),
        None => record.hop.to_owned(),
    };
    wrapped(&first, &next, &hop, COLUMNS, out)?;
    let live = record
        .live
        .map(|_| "the kernel's own value where there is one");
    let said = [live, record.source, record.date];
    let said: Vec<&str> = said.into_iter().flatten().collect();
    if said.is_empty() {
        return Ok(());
    }
    wrapped(&next, &next, &said.join("; "), COLUMNS, out)
}

fn path_row(record: &PathRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let mut scratch = String::new();
    quoted(Escaped(record.name), &mut scratch, out)?;
    out.push(b',');
    quoted(Escaped(record.hop), &mut scratch, out)?;
    cell(Some(record.idle_timeout_ms), out)?;
    cell(Some(record.probe_resets), out)?;
    out.push(b',');
    quoted(Escaped(record.range.unwrap_or_default()), &mut scratch, out)?;
    cell(record.live, out)?;
    for text in [record.source, record.date] {
        out.push(b',');
        quoted(Escaped(text.unwrap_or_default()), &mut scratch, out)?;
    }
    writeln!(out)
}

#[derive(Serialize)]
struct RuleRecord {
    rule: &'static str,
    severity: &'static str,
    /// The worst severity that `--path` and `--detect-within` can give it.
    worst: &'static str,
    about: &'static str,
}

impl From<Rule> for RuleRecord {
    fn from(rule: Rule) -> Self {
        Self {
            rule: rule.id(),
            severity: rule.severity().name(),
            worst: rule.worst().name(),
            about: rule.about(),
        }
    }
}

/// Writes the rules.
pub fn rules(format: Format, out: &mut Vec<u8>) -> io::Result<()> {
    let mut records = Rule::ALL.into_iter().map(RuleRecord::from);
    match format {
        Format::Table => records.try_for_each(|record| {
            let RuleRecord {
                rule,
                severity,
                worst,
                about,
            } = record;
            let worse = match worst == severity {
                true => String::new(),
                false => format!("; {worst} where --path or --detect-within says so"),
            };
            writeln!(out, "{rule} ({severity}{worse})\n    {about}")
        }),
        Format::Json => records.try_for_each(|record| Json::compact().write(&record, out)),
        Format::JsonPretty => records.try_for_each(|record| Json::pretty().write(&record, out)),
        Format::Csv => {
            writeln!(out, "rule,severity,worst,about")?;
            let mut scratch = String::new();
            records.try_for_each(|record| {
                write!(out, "{},{},{},", record.rule, record.severity, record.worst)?;
                quoted(record.about, &mut scratch, out)?;
                writeln!(out)
            })
        }
    }
}
