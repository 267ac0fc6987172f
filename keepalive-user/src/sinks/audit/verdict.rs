//! Findings: paragraphs for people, records for programs.

use std::{
    fmt::{self, Display},
    io::{self, Write},
};

use anstyle::{AnsiColor, Style};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::wrap::wrapped;
use crate::{
    audit::{Evidence, Example, Finding, Severity, Verdict},
    event::State,
    sinks::{csv::quoted, json::Json, sanitize::Escaped, screen::Screen},
};

/// Stands before the text of a finding where there is no label.
const INDENT: &str = "       ";

/// Writes one paragraph for each finding.
pub fn table(screen: &Screen, verdict: &Verdict, out: &mut Vec<u8>) -> io::Result<()> {
    for (at, finding) in verdict.findings.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        paragraph(screen, finding, out)?;
    }
    Ok(())
}

fn paragraph(screen: &Screen, finding: &Finding, out: &mut Vec<u8>) -> io::Result<()> {
    let style = if screen.colour {
        colour(finding.severity)
    } else {
        Style::new()
    };
    let plural = if finding.sockets == 1 { "" } else { "s" };
    writeln!(
        out,
        "{style}{}{style:#} {} · {} · {} socket{plural}",
        finding.severity.name().to_uppercase(),
        finding.rule.id(),
        Whose(finding),
        finding.sockets,
    )?;
    labelled("why", &finding.why, screen, out)?;
    labelled("seen", &seen(&finding.evidence), screen, out)?;
    let ends: Vec<String> = finding.examples.iter().map(ends).collect();
    let more = if finding.sockets > ends.len() {
        ", …"
    } else {
        ""
    };
    labelled("e.g.", &(ends.join(", ") + more), screen, out)?;
    for (at, line) in finding.fix.iter().enumerate() {
        let label = if at == 0 { "fix" } else { "" };
        // A line to paste must not be broken.
        writeln!(out, "  {label:<4} {}", Escaped(line))?;
    }
    Ok(())
}

fn labelled(label: &str, text: &str, screen: &Screen, out: &mut Vec<u8>) -> io::Result<()> {
    let first = format!("  {label:<4} ");
    wrapped(&first, INDENT, text, screen.columns, out)
}

fn colour(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Critical => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Info => AnsiColor::Cyan,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

/// Displays `comm/pid`, the name alone where the finding is about several processes of that name, or
/// `-` where no process is known.
struct Whose<'a>(&'a Finding);

impl Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.comm, self.0.pid) {
            (Some(comm), Some(pid)) => write!(f, "{}/{pid}", Escaped(comm)),
            (Some(comm), None) => write!(f, "{}", Escaped(comm)),
            (None, _) => f.write_str("-"),
        }
    }
}

fn ends(example: &Example) -> String {
    if example.remote.port() == 0 {
        return format!("{} {}", State::Listen.name(), example.local);
    }
    format!("{}→{}", example.local, example.remote)
}

/// `name value, name value`.
fn seen(evidence: &Evidence) -> String {
    let numbers = evidence.0.iter().map(|(name, value)| match value {
        Some(value) => format!("{name} {value}"),
        None => format!("{name} never"),
    });
    numbers.collect::<Vec<_>>().join(", ")
}

/// Writes one line for people: how many findings of each severity, and how many sockets.
pub fn summary(verdict: &Verdict, err: &mut Vec<u8>) -> io::Result<()> {
    let findings = verdict.findings.len();
    match findings {
        0 => write!(err, "nothing found")?,
        one_or_more => {
            let plural = if one_or_more == 1 { "" } else { "s" };
            write!(err, "{findings} finding{plural}:")?;
            for (at, severity) in Severity::ALL.into_iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                write!(
                    err,
                    "{comma} {} {}",
                    verdict.count(severity),
                    severity.name()
                )?;
            }
        }
    }
    let plural = if verdict.sockets == 1 { "" } else { "s" };
    write!(err, "; {} socket{plural} judged", verdict.sockets)?;
    if verdict.unknown > 0 {
        write!(
            err,
            ", {} not: no process holds them, so their settings cannot be read",
            verdict.unknown
        )?;
    }
    writeln!(err)
}

/// Writes what could not be read, one line each.
pub fn missing(verdict: &Verdict, err: &mut Vec<u8>) -> io::Result<()> {
    for gap in &verdict.missing {
        writeln!(err, "missing: {}", Escaped(gap))?;
    }
    Ok(())
}

/// Writes one object for each finding.
pub fn json(json: &Json, verdict: &Verdict, out: &mut Vec<u8>) -> io::Result<()> {
    verdict.findings.iter().try_for_each(|finding| {
        let record = FindingRecord {
            rule: finding.rule.id(),
            severity: finding.severity.name(),
            pid: finding.pid,
            comm: finding.comm.as_deref(),
            sockets: finding.sockets,
            evidence: Numbers(&finding.evidence),
            why: &finding.why,
            fix: &finding.fix,
            examples: finding.examples.iter().map(ExampleRecord::from).collect(),
        };
        json.write(&record, out)
    })
}

#[derive(Serialize)]
struct FindingRecord<'a> {
    rule: &'static str,
    severity: &'static str,
    pid: Option<u32>,
    comm: Option<&'a str>,
    sockets: usize,
    evidence: Numbers<'a>,
    why: &'a str,
    fix: &'a [String],
    examples: Vec<ExampleRecord<'a>>,
}

struct Numbers<'a>(&'a Evidence);

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.0.len()))?;
        for (name, value) in &self.0.0 {
            match value {
                // Whole numbers are written without a point, as in all records.
                Some(whole) if whole.fract() == 0.0 => {
                    map.serialize_entry(name, &(*whole as u64))?
                }
                other => map.serialize_entry(name, other)?,
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct ExampleRecord<'a> {
    laddr: std::net::IpAddr,
    lport: u16,
    raddr: std::net::IpAddr,
    rport: u16,
    netns: u32,
    pid: Option<u32>,
    comm: Option<&'a str>,
}

impl<'a> From<&'a Example> for ExampleRecord<'a> {
    fn from(example: &'a Example) -> Self {
        let process = example.process.as_ref();
        Self {
            laddr: example.local.ip(),
            lport: example.local.port(),
            raddr: example.remote.ip(),
            rport: example.remote.port(),
            netns: example.netns,
            pid: process.map(|process| process.pid),
            comm: process.map(|process| &*process.comm),
        }
    }
}

/// Writes one row for each finding. A list within a column is joined by ` | `.
pub fn csv(verdict: &Verdict, out: &mut Vec<u8>) -> io::Result<()> {
    writeln!(
        out,
        "rule,severity,pid,comm,sockets,evidence,why,fix,examples"
    )?;
    let mut scratch = String::new();
    verdict.findings.iter().try_for_each(|finding| {
        write!(out, "{},{},", finding.rule.id(), finding.severity.name())?;
        if let Some(pid) = finding.pid {
            write!(out, "{pid}")?;
        }
        out.push(b',');
        quoted(
            Escaped(finding.comm.as_deref().unwrap_or_default()),
            &mut scratch,
            out,
        )?;
        write!(out, ",{}", finding.sockets)?;
        let examples: Vec<String> = finding.examples.iter().map(ends).collect();
        for text in [
            seen(&finding.evidence),
            finding.why.clone(),
            finding.fix.join(" | "),
            examples.join(" | "),
        ] {
            out.push(b',');
            quoted(Escaped(&text), &mut scratch, out)?;
        }
        writeln!(out)
    })
}
