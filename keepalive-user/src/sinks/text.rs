//! Text for people on stderr: the banner and the summary; and how people read a number.

use std::io::{self, Write};

use super::sanitize::Escaped;
use crate::{
    event::Ready,
    format::Millis,
    summary::{Counts, Late, Summary},
};

/// Milliseconds to three decimals: what the kernel's clocks are good for.
pub(super) fn microseconds(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

/// Says what is watched and how, a line for each thing that is not.
pub(super) fn banner(ready: &Ready, to: &mut Vec<u8>) -> io::Result<()> {
    write!(
        to,
        "katrace {} · Linux {} · {}",
        ready.version,
        Escaped(&ready.kernel),
        ready.attach.name()
    )?;
    if !ready.attach_reason.is_empty() {
        write!(to, " ({})", Escaped(&ready.attach_reason))?;
    }
    writeln!(to, " · Ctrl-C ends")?;
    for gap in &ready.missing {
        writeln!(to, "not shown: {}", Escaped(gap))?;
    }
    Ok(())
}

/// Processes listed; JSON has them all.
const ROWS: usize = 20;
/// Columns for a process: the longest name the kernel keeps and a pid of seven digits.
const NAME: usize = 23;

/// Sums the run up: a line of totals, a row a process, a line of what is not known.
pub(super) fn summary(summary: &Summary, to: &mut Vec<u8>) -> io::Result<()> {
    let total = &summary.total;
    writeln!(
        to,
        "\n{} probes, {} timeouts, {} resets, {} stalled, {} answered in {}",
        total.probes,
        total.timeouts(),
        total.resets,
        total.stalled,
        total.answered,
        Millis(summary.duration_ms)
    )?;
    let rows = summary.processes();
    if !rows.is_empty() {
        writeln!(
            to,
            "{:NAME$} {:>9} {:>7} {:>7}  TIMEOUTS",
            "PROCESS", "PROBES", "STALLED", "RESETS"
        )?;
    }
    let mut name = String::new();
    for (pid, comm, counts) in rows.iter().take(ROWS) {
        name.clear();
        super::table::process(&mut name, comm, *pid, NAME);
        row(&name, counts, to)?;
    }
    if let Some(more) = rows.len().checked_sub(ROWS).filter(|more| *more > 0) {
        writeln!(to, "and {more} more; -o json lists every process")?;
    }
    if summary.others != Counts::default() {
        row("(others)", &summary.others, to)?;
    }
    late(summary, to)?;
    write!(
        to,
        "lost: {} records · owner unknown: {} events · undecodable: {} records",
        summary.lost, summary.unknown_owner, summary.undecodable
    )?;
    if summary.untracked > 0 {
        write!(to, " · not followed: {} sockets", summary.untracked)?;
    }
    if let Some(skipped) = summary.skipped.filter(|skipped| *skipped > 0) {
        write!(to, " · skipped by the kernel: {skipped} runs")?;
    }
    writeln!(to)
}

/// Deaths listed for people; JSON has more of them.
const LATE: usize = 10;

/// Deaths that no process has noticed, a line each.
fn late(summary: &Summary, to: &mut Vec<u8>) -> io::Result<()> {
    let Some(noticed) = summary.noticed else {
        return Ok(());
    };
    if noticed == 0 && summary.unnoticed_count == 0 {
        return Ok(());
    }
    writeln!(
        to,
        "errors received: {noticed} · deaths that no process has noticed: {}",
        summary.unnoticed_count
    )?;
    let mut name = String::new();
    for Late { death, dead_ms } in summary.unnoticed.iter().take(LATE) {
        name.clear();
        match &death.owner.process {
            Some(process) => super::table::process(&mut name, &process.comm, process.pid, NAME),
            None => name.push('-'),
        }
        let peer = std::net::SocketAddr::new(death.socket.raddr, death.socket.rport);
        let end = if death.closed {
            "closed without noticing"
        } else {
            "not noticed"
        };
        writeln!(
            to,
            "  {name} {}→{peer} {}: dead for {}, {end}",
            death.socket.lport,
            death.errno,
            Millis(*dead_ms)
        )?;
    }
    let more = summary
        .unnoticed_count
        .saturating_sub(summary.unnoticed.len().min(LATE) as u64);
    if more > 0 {
        writeln!(to, "  and {more} more; -o json lists up to a hundred")?;
    }
    if summary.unfollowed > 0 {
        writeln!(
            to,
            "  {} deaths were too many to follow",
            summary.unfollowed
        )?;
    }
    Ok(())
}

fn row(name: &str, counts: &Counts, to: &mut Vec<u8>) -> io::Result<()> {
    let gap = NAME.saturating_sub(unicode_width::UnicodeWidthStr::width(name));
    write!(
        to,
        "{name}{:gap$} {:>9} {:>7} {:>7}  ",
        "", counts.probes, counts.stalled, counts.resets
    )?;
    let mut any = false;
    for (cause, count) in counts.by_cause().filter(|(_, count)| *count > 0) {
        let comma = if any { ", " } else { "" };
        write!(to, "{comma}{count} {}", cause.name())?;
        any = true;
    }
    writeln!(to, "{}", if any { "" } else { "0" })
}
