//! Text for people on stderr: the banner and the summary; and how people read a number.

use std::{
    fmt,
    io::{self, Write},
};

use super::sanitize::Escaped;
use crate::{
    event::Ready,
    summary::{Counts, Late, Summary},
};

/// Milliseconds to three decimals: what the kernel's clocks are good for.
pub(super) fn microseconds(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

/// Milliseconds as people say them, to two figures or so: `400 ms`, `5.1 s`, `70 s`, `15 min`.
pub(super) struct Millis(pub u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECOND: u64 = 1000;
        const MINUTE: u64 = 60 * SECOND;
        const HOUR: u64 = 60 * MINUTE;
        match self.0 {
            ms if ms < SECOND => write!(f, "{ms} ms"),
            ms if ms < 10 * SECOND && ms % SECOND >= 100 => {
                write!(f, "{}.{} s", ms / SECOND, ms % SECOND / 100)
            }
            ms if ms < 2 * MINUTE => write!(f, "{} s", ms / SECOND),
            ms if ms < 2 * HOUR => write!(f, "{} min", ms / MINUTE),
            ms if ms < 48 * HOUR => write!(f, "{} h", ms / HOUR),
            ms => write!(f, "{} d", ms / (24 * HOUR)),
        }
    }
}

/// A round trip in milliseconds as people say it: `412 µs`, `3.2 ms`, `1.4 s`.
pub(super) struct RoundTrip(pub f64);

impl fmt::Display for RoundTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms < 1.0 => write!(f, "{:.0} µs", ms * 1e3),
            ms if ms < 100.0 => write!(f, "{ms:.1} ms"),
            // A float beyond the integers stops at the largest.
            ms => Millis(ms as u64).fmt(f),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_to_two_figures() {
        for (ms, said) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (5123, "5.1 s"),
            (60_000, "60 s"),
            (924_000, "15 min"),
            (7_200_000, "2 h"),
            (u64::MAX, "213503982334 d"),
        ] {
            assert_eq!(Millis(ms).to_string(), said);
        }
        for (ms, said) in [(0.412_3, "412 µs"), (3.21, "3.2 ms"), (1450.0, "1.4 s")] {
            assert_eq!(RoundTrip(ms).to_string(), said);
        }
    }
}
