//! Two thousand sockets at once: every probe is accounted for, shown or counted as lost.

use std::{fs, thread::sleep, time::Duration};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use crate::lab::{
    Katrace, Stopped, Tracer,
    crowd::{Crowd, Probes, SOCKETS},
    programs,
    time::{in_guest, wait_until},
};

pub fn counts_are_exact(katrace: &Katrace, crowd: &mut Crowd) -> Result<()> {
    let tracer = trace(katrace, crowd, &["-e", "probe"])?;
    let base = crowd.counts()?;
    let drops = backlog_drops()?;
    crowd.begin()?;
    sleep(Duration::from_secs(10));
    crowd.end()?;
    let skipped = programs::skipped(tracer.pid())?;
    let stopped = settle_and_stop(tracer)?;
    let Probes { counted, visible } = crowd.counts()?.since(base);
    // An emulated processor is behind its timers at times; each late one is a probe fewer.
    let least = SOCKETS as u64 * if in_guest() { 4 } else { 9 };
    ensure!(
        counted >= least,
        "only {counted} probes in 10 s of {SOCKETS} sockets"
    );
    let shown = stopped.count("probe");
    let summary = stopped.summary()?;
    ensure!(
        shown == visible,
        "kernel {visible} probes, katrace {shown}\n{skipped} runs of its programs skipped by the kernel\n{} packets dropped by a full backlog\n{summary}",
        backlog_drops()? - drops
    );
    ensure!(stopped.lost() == 0, "{} lost", stopped.lost());
    ensure!(
        summary["lost"] == 0 && summary["probes"] == shown,
        "the summary differs: {summary}"
    );
    let pid = crowd.actor.pid();
    let probes = || {
        stopped
            .records
            .iter()
            .filter(|record| record["event"] == "probe")
    };
    let foreign = probes().find(|record| record["pid"] != pid);
    ensure!(
        foreign.is_none(),
        "an event of a process other than {pid}: {foreign:?}"
    );
    let shown_ports: std::collections::BTreeSet<_> = probes()
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
    let base = crowd.counts()?;
    crowd.begin()?;
    tracer.signal(Signal::SIGSTOP)?;
    sleep(Duration::from_secs(4));
    tracer.signal(Signal::SIGCONT)?;
    sleep(Duration::from_secs(2));
    crowd.end()?;
    let stopped = settle_and_stop(tracer)?;
    let Probes { visible, .. } = crowd.counts()?.since(base);
    let (shown, lost) = (stopped.count("probe"), stopped.lost());
    ensure!(
        lost > 0,
        "nothing lost from one page of ring in 4 s without a reader"
    );
    ensure!(shown > 0, "nothing shown after the reader came back");
    let summary = stopped.summary()?;
    ensure!(
        shown + lost == visible,
        "kernel {visible} probes, katrace {shown} + {lost} lost\n{summary}"
    );
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
    let flowing = wait_until(crate::lab::time::deadline(3), || {
        tracer.records_in(crowd.pair.ours.inode).len() >= SOCKETS / 2
    });
    let stopped = tracer.stop();
    crowd.end()?;
    ensure!(flowing, "the load never came up");
    stopped?.summary()?;
    // Programs go with their last reference, which the kernel drops after a grace period.
    let mut left = programs.clone();
    wait_until(crate::lab::time::deadline(2), || {
        left = programs::still_loaded(&programs).unwrap_or_default();
        left.is_empty()
    });
    // A list that could not be read must not pass for an empty one.
    let left = programs::still_loaded(&programs)?;
    ensure!(left.is_empty(), "BPF programs {left:?} outlive katrace");
    Ok(())
}

fn trace(katrace: &Katrace, crowd: &Crowd, args: &[&str]) -> Result<Tracer> {
    let netns = crowd.pair.ours.inode.to_string();
    katrace.start(["-N", &netns].iter().chain(args))?.ready()
}

/// Timers that were running when keepalive was switched off are done; then SIGTERM.
fn settle_and_stop(tracer: Tracer) -> Result<Stopped> {
    sleep(Duration::from_millis(300));
    tracer.stop()
}

/// Packets that the machine's receive queues had no room for, the second column of each CPU.
fn backlog_drops() -> Result<u64> {
    let table = fs::read_to_string("/proc/net/softnet_stat")?;
    let mut columns = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    columns.try_fold(0, |sum, drops| Ok(sum + u64::from_str_radix(drops, 16)?))
}
