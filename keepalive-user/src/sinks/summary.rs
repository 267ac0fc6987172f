//! The summary for people, on stderr.

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::SocketAddr,
};

use super::process::{self, width};
use crate::{
    event::{Cause, EventKind, Process},
    format::Millis,
    summary::{Counts, Late, Summary},
};

/// How many processes are listed; JSON has all of them.
const PROCESSES: usize = 20;
/// How many unnoticed deaths are listed; JSON has more of them.
const DEATHS: usize = 10;
/// Columns for a process: the longest name that the kernel keeps, and a pid of seven digits.
const NAME: usize = 23;

/// Writes the totals, the counts of each process, the deaths that nobody noticed, and what is not
/// known.
pub(super) fn summary(summary: &Summary, to: &mut Vec<u8>) -> io::Result<()> {
    totals(summary, to)?;
    processes(summary, to)?;
    unnoticed(summary, to)?;
    gaps(summary, to)
}

/// `4 probes, 8 timeouts, … in 20 s`
fn totals(summary: &Summary, to: &mut Vec<u8>) -> io::Result<()> {
    let position = |kind: &EventKind| kind.facts().summary_position;
    let mut kinds: Vec<EventKind> = EventKind::ALL.to_vec();
    kinds.retain(|kind| position(kind).is_some());
    kinds.sort_by_key(position);
    let totals = kinds
        .iter()
        .map(|kind| format!("{} {}", summary.total.of(*kind), kind.facts().count_word));
    writeln!(
        to,
        "\n{} in {}",
        totals.collect::<Vec<_>>().join(", "),
        Millis(summary.duration_ms)
    )
}

/// The columns of the list of processes: a kind, its title and its width.
fn columns() -> impl Iterator<Item = (EventKind, &'static str, usize)> {
    EventKind::ALL.iter().filter_map(|kind| {
        let (title, width) = kind.facts().summary_column?;
        Some((*kind, title, width))
    })
}

fn processes(summary: &Summary, to: &mut Vec<u8>) -> io::Result<()> {
    let rows = summary.processes();
    if !rows.is_empty() {
        write!(to, "{:NAME$}", "PROCESS")?;
        for (_, title, width) in columns() {
            write!(to, " {title:>width$}")?;
        }
        writeln!(to, "  TIMEOUTS")?;
    }
    let mut name = String::new();
    for (pid, comm, counts) in rows.iter().take(PROCESSES) {
        name.clear();
        process::write(&mut name, comm, *pid, NAME);
        row(&name, counts, to)?;
    }
    if let Some(more) = rows.len().checked_sub(PROCESSES).filter(|more| *more > 0) {
        writeln!(to, "and {more} more; -o json lists every process")?;
    }
    if summary.others != Counts::default() {
        row("(others)", &summary.others, to)?;
    }
    Ok(())
}

fn row(name: &str, counts: &Counts, to: &mut Vec<u8>) -> io::Result<()> {
    let gap = NAME.saturating_sub(width(name));
    write!(to, "{name}{:gap$}", "")?;
    for (kind, _, width) in columns() {
        write!(to, " {:>width$}", counts.of(kind))?;
    }
    let causes = counts.by_cause().filter(|(_, count)| *count > 0);
    let causes = causes.map(|(cause, count): (Cause, u64)| format!("{count} {}", cause.name()));
    let causes: Vec<String> = causes.collect();
    let causes = if causes.is_empty() {
        "0".to_owned()
    } else {
        causes.join(", ")
    };
    writeln!(to, "  {causes}")
}

/// Writes a line for each of the first [`DEATHS`] deaths that no process has noticed.
fn unnoticed(summary: &Summary, to: &mut Vec<u8>) -> io::Result<()> {
    let Some(noticed) = summary.noticed else {
        return Ok(());
    };
    let count = summary.unnoticed_count;
    if noticed == 0 && count == 0 {
        return Ok(());
    }
    writeln!(
        to,
        "errors received: {noticed} · deaths that no process has noticed: {count}"
    )?;
    for late in summary.unnoticed.iter().take(DEATHS) {
        death(late, to)?;
    }
    let listed = summary.unnoticed.len().min(DEATHS) as u64;
    if let Some(more) = count.checked_sub(listed).filter(|more| *more > 0) {
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

fn death(Late { death, dead_ms }: &Late, to: &mut Vec<u8>) -> io::Result<()> {
    let mut name = String::new();
    match &death.owner.process {
        Some(Process { pid, comm, .. }) => process::write(&mut name, comm, *pid, NAME),
        None => name.push('-'),
    }
    // Writing to a String cannot fail.
    let _ = write!(
        name,
        " {}→{}",
        death.socket.lport,
        SocketAddr::new(death.socket.raddr, death.socket.rport)
    );
    let end = if death.closed {
        "closed without noticing"
    } else {
        "not noticed"
    };
    writeln!(
        to,
        "  {name} {}: dead for {}, {end}",
        death.errno,
        Millis(*dead_ms)
    )
}

/// Writes what was lost and what is not known.
fn gaps(summary: &Summary, to: &mut Vec<u8>) -> io::Result<()> {
    write!(
        to,
        "lost: {} records · owner unknown: {} events · undecodable: {} records",
        summary.lost, summary.unknown_owner, summary.undecodable
    )?;
    if summary.undecided > 0 {
        write!(
            to,
            " · left out because the owner was not known in time: {} events",
            summary.undecided
        )?;
    }
    if summary.untracked > 0 {
        write!(to, " · not followed: {} sockets", summary.untracked)?;
    }
    if let Some(skipped) = summary.skipped.filter(|skipped| *skipped > 0) {
        write!(to, " · skipped by the kernel: {skipped} runs")?;
    }
    writeln!(to)
}
