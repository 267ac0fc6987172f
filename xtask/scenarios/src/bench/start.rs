//! From the command to the first record, while probes are being sent.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    Bench,
    load::Load,
    subject::{Child, script},
    table::{Against, Row, Table},
};

/// Probes come by thousands a second, and only the first record is of interest. A name is compared in
/// user space, so the kernel half is as large as without.
const QUIET: [&str; 4] = ["-e", "probe", "-c", "nobody"];

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let mut load = Load::open(bench.plan.sockets)?;
    load.begin(1)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.plan.rounds {
        for _ in 0..bench.plan.starts {
            let tracer = bench.katrace("fentry").start(QUIET)?.ready()?;
            ours.push(milliseconds(tracer.ready_after));
            tracer.stop()?;
        }
        theirs.extend(bpftrace(bench)?.map(milliseconds));
    }
    load.end()?;
    let row = Row::new("start to the first record, fentry", "ms", ours).bpftrace(theirs);
    table.add(row.at_most_times(0.15, Against::Bpftrace));
    Ok(())
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// To its first event, each line written as it comes.
fn bpftrace(bench: &Bench) -> Result<Option<Duration>> {
    let Some(program) = &bench.bpftrace else {
        return Ok(None);
    };
    let mut command = std::process::Command::new(program);
    command
        .args(["-B", "line", "-e", &script("fentry")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let began = Instant::now();
    let mut child = Child(command.spawn().context("start bpftrace")?);
    let stdout = child.0.stdout.take().context("bpftrace without stdout")?;
    for line in BufReader::new(stdout).lines() {
        // Before its events it says what it attaches.
        if line?.starts_with(|first: char| first.is_ascii_digit()) {
            return Ok(Some(began.elapsed()));
        }
    }
    bail!("bpftrace ended without an event");
}
