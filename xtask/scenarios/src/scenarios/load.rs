//! Two thousand sockets at once: every probe is accounted for, shown or counted as lost.

use std::{collections::BTreeSet, fs, sync::Arc, thread::sleep, time::Duration};

use anyhow::{Result, anyhow, ensure};
use nix::sys::signal::Signal;

use crate::lab::{
    Control, Counters, Katrace, Stopped, Tracer,
    account::Counts,
    crowd::{Crowd, SOCKETS},
    programs,
    time::{deadline, wait_until},
};

/// Probes of each socket in the scenario that counts them.
const ROUNDS: usize = 9;

pub fn counts_are_exact(katrace: &Katrace, crowd: &mut Crowd) -> Result<()> {
    let tracer = trace(katrace, crowd, &["-e", "probe"])?;
    let control = tracer.control.clone();
    let base = counts(&control, crowd)?;
    let drops = backlog_drops()?;
    crowd.begin()?;
    probed_by_kernel(crowd, ROUNDS)?;
    crowd.end()?;
    let skipped = programs::skipped(tracer.pid())?;
    let stopped = settle_and_stop(tracer)?;
    let due = counts(&control, crowd)?.since(base);
    let shown = stopped.count("probe");
    let summary = stopped.summary()?;
    let hidden = due.judge(probes(shown)).map_err(|error| {
        let drops = backlog_drops().map_or(0, |now| now - drops);
        anyhow!(
            "{error:#}\n{skipped} runs of its programs skipped by the kernel\n\
             {drops} packets dropped by a full backlog\n{summary}"
        )
    })?;
    println!("  {shown} probes shown; the kernel ran no program for {hidden}");
    ensure!(stopped.lost() == 0, "{} lost", stopped.lost());
    ensure!(
        summary["lost"] == 0 && summary["probes"] == shown,
        "the summary differs: {summary}"
    );
    let pid = crowd.actor.pid();
    let records = || {
        let records = stopped.records.iter();
        records.filter(|record| record["event"] == "probe")
    };
    let foreign = records().find(|record| record["pid"] != pid);
    ensure!(
        foreign.is_none(),
        "an event of a process other than {pid}: {foreign:?}"
    );
    let shown_ports: BTreeSet<_> = records()
        .filter_map(|record| record["lport"].as_u64())
        .collect();
    ensure!(
        shown_ports.len() == SOCKETS,
        "{} of {SOCKETS} sockets shown",
        shown_ports.len()
    );
    Ok(())
}

pub fn losses_are_counted(katrace: &Katrace, crowd: &mut Crowd) -> Result<()> {
    let tracer = trace(katrace, crowd, &["-e", "probe", "--ring-size", "4096"])?;
    let control = tracer.control.clone();
    let base = counts(&control, crowd)?;
    crowd.begin()?;
    tracer.signal(Signal::SIGSTOP)?;
    probed_by_kernel(crowd, 3)?;
    tracer.signal(Signal::SIGCONT)?;
    probed_by_kernel(crowd, 2)?;
    crowd.end()?;
    let stopped = settle_and_stop(tracer)?;
    let due = counts(&control, crowd)?.since(base);
    let (shown, lost) = (stopped.count("probe"), stopped.lost());
    ensure!(
        lost > 0,
        "nothing lost from one page of ring without a reader"
    );
    ensure!(shown > 0, "nothing shown after the reader came back");
    let summary = stopped.summary()?;
    due.judge(probes(shown + lost))
        .map_err(|error| anyhow!("{error:#}; katrace's include {lost} lost\n{summary}"))?;
    ensure!(
        summary["lost"] == lost,
        "lines add up to {lost} lost, the summary says {summary}"
    );
    Ok(())
}

pub fn sigterm(katrace: &Katrace, crowd: &mut Crowd) -> Result<()> {
    let tracer = trace(katrace, crowd, &["-e", "all"])?;
    let programs = programs::held_by(tracer.pid())?;
    ensure!(!programs.is_empty(), "a ready katrace holds no BPF program");
    crowd.begin()?;
    let flowing = wait_until(deadline(3), || {
        tracer.records_in(crowd.pair.ours.inode).len() >= SOCKETS / 2
    });
    let stopped = tracer.stop();
    crowd.end()?;
    ensure!(flowing, "the load never came up");
    stopped?.summary()?;
    programs::are_gone(&programs)
}

/// Waits until every socket has sent this many probes, by the kernel's count.
fn probed_by_kernel(crowd: &Crowd, rounds: usize) -> Result<()> {
    let base = Counters::of(&crowd.pair.ours)?;
    let due = (rounds * SOCKETS) as u64;
    let mut counted = 0;
    wait_until(deadline(rounds as u64), || {
        let now = Counters::of(&crowd.pair.ours);
        counted = now.map_or(0, |now| now.since(base).keepalive);
        counted >= due
    });
    ensure!(counted >= due, "{counted} probes of {SOCKETS} sockets");
    Ok(())
}

fn counts(control: &Option<Arc<Control>>, crowd: &Crowd) -> Result<Counts> {
    Counts::of(&crowd.pair.ours, control.as_deref())
}

fn probes(keepalive: u64) -> Counters {
    Counters {
        keepalive,
        aborts: 0,
    }
}

fn trace(katrace: &Katrace, crowd: &Crowd, args: &[&str]) -> Result<Tracer> {
    let netns = crowd.pair.ours.inode.to_string();
    katrace.start(["-N", &netns].iter().chain(args))?.ready()
}

/// Waits for the timers that were running when keepalive was switched off, then sends SIGTERM.
fn settle_and_stop(tracer: Tracer) -> Result<Stopped> {
    sleep(Duration::from_millis(300));
    tracer.stop()
}

/// Packets that the receive queues of all CPUs had no room for: the second column of each line.
fn backlog_drops() -> Result<u64> {
    let table = fs::read_to_string("/proc/net/softnet_stat")?;
    let mut columns = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    columns.try_fold(0, |sum, drops| Ok(sum + u64::from_str_radix(drops, 16)?))
}
