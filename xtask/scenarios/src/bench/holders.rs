//! Sockets of many processes, older than the tool: how soon their owners are known.

use std::{
    io::{Read, Seek},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Bench,
    load::Load,
    start::milliseconds,
    subject::{Subject, in_memory, peak, settle},
    table::{Against, Row, Table},
};
use crate::lab::Counters;

/// Probes a second while the owner of every socket is looked up.
const RATE: usize = 2_000;

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let plan = &bench.plan;
    let mut load = Load::of(&vec![plan.sockets_each; plan.processes])?;
    let (mut ready, mut memory) = (Vec::new(), Vec::new());
    let (mut ss, mut snapshot, mut ss_extended) = (Vec::new(), Vec::new(), Vec::new());
    let has_sockets = has_sockets(bench);
    for _ in 0..plan.rounds {
        let tracer = bench.katrace("fentry").start(["-e", "probe"])?.ready()?;
        ready.push(milliseconds(tracer.ready_after));
        memory.push(peak(tracer.pid())? as f64 / 1e6);
        tracer.stop()?;
        ss.extend(run_ss(bench, &load, &["-tnp"])?);
        if has_sockets {
            let mut command = Command::new(&bench.katrace);
            command.args(["sockets", "-N", "self"]);
            snapshot.push(milliseconds(timed(&load, command)?));
            ss_extended.extend(run_ss(bench, &load, &["-tnoe"])?);
        }
    }
    all_known(bench, &mut load)?;

    let of = format!("{} sockets of {} processes", load.sockets, plan.processes);
    let name = format!("start to ready with every owner known, {of}");
    let row = Row::new(name, "ms", ready).other("`ss -tnp`", ss);
    table.add(row.at_most_times(0.5, Against::Other));
    table.add(Row::new(
        format!("peak resident memory, {of}"),
        "MB",
        memory,
    ));
    let name = format!("`katrace sockets`, {of}");
    let row = if has_sockets {
        Row::new(name, "ms", snapshot).other("`ss -tnoe`", ss_extended)
    } else {
        Row::missing(
            name,
            "ms",
            "not available: katrace has no command `sockets`",
        )
    };
    table.add(row.at_most_times(1.0, Against::Other));
    Ok(())
}

fn has_sockets(bench: &Bench) -> bool {
    let mut command = Command::new(&bench.katrace);
    command.args(["sockets", "--help"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run_ss(bench: &Bench, load: &Load, args: &[&str]) -> Result<Option<f64>> {
    let Some(ss) = &bench.ss else {
        return Ok(None);
    };
    let mut command = Command::new(ss);
    command.args(args);
    timed(load, command).map(|time| Some(milliseconds(time)))
}

/// How long a command takes in the sockets' namespace, its output thrown away.
fn timed(load: &Load, mut command: Command) -> Result<Duration> {
    // Not the terminal for stderr: katrace would show progress there, in the midst of the bench's own lines.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    load.pair.ours.within(|| {
        let began = Instant::now();
        let ended = command
            .output()
            .with_context(|| format!("run {command:?}"))?;
        let took = began.elapsed();
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(
            ended.status.success(),
            "{command:?} ended with {}: {said}",
            ended.status
        );
        Ok(took)
    })
}

/// Has every socket probe, and asks for the owner of each event.
fn all_known(bench: &Bench, load: &mut Load) -> Result<()> {
    let mut written = in_memory()?;
    let mut command = bench
        .katrace("fentry")
        .command(["-o", "json", "-e", "probe"]);
    command.args(["-N", &load.pair.ours.inode.to_string()]);
    let subject = Subject::spawn(command, written.try_clone()?.into())?;
    let counters = Counters::of(&load.pair.ours)?;
    load.begin(load.sockets.div_ceil(RATE) as u32)?;
    load.end()?;
    settle();
    let probes = Counters::of(&load.pair.ours)?.since(counters).keepalive;
    subject.stop()?;
    let mut text = String::new();
    written.rewind()?;
    written.read_to_string(&mut text)?;
    let last = text.lines().last().context("katrace printed nothing")?;
    let summary: Value = serde_json::from_str(last).context("the last line is no JSON")?;
    let count = |name: &str| {
        summary[name]
            .as_u64()
            .with_context(|| format!("no `{name}` in the summary"))
    };
    ensure!(
        probes >= load.sockets as u64,
        "{} sockets sent {probes} probes",
        load.sockets
    );
    let (shown, lost, unknown) = (count("probes")?, count("lost")?, count("unknown_owner")?);
    ensure!(
        shown + lost == probes,
        "kernel {probes} probes, katrace {shown} + {lost} lost"
    );
    ensure!(unknown == 0, "{unknown} of {shown} events without an owner");
    Ok(())
}
