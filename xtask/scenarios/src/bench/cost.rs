//! What an event costs: in the kernel, in user space, in memory.

use std::{thread::sleep, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{
    Bench,
    load::Load,
    subject::{Subject, Tool, settle},
    table::{Against, Row, Table},
    window::{NOTHING_PASSES, Sample, watch},
};
use crate::lab::Counters;

const TABLE: Tool = Tool::Katrace("fentry", &["-o", "table"]);
const JSON: Tool = Tool::Katrace("fentry", &["-o", "json"]);
const KPROBE: Tool = Tool::Katrace("kprobe", &["-o", "json"]);
const TRACEPOINT: Tool = Tool::Katrace("tracepoint", &["-o", "json"]);
const FILTERED: Tool = Tool::Katrace("fentry", &["-o", "json", NOTHING_PASSES]);

const TOOLS: [Tool; 10] = [
    Tool::Nothing,
    Tool::Floor("fentry"),
    Tool::Bpftrace("fentry"),
    TABLE,
    JSON,
    FILTERED,
    Tool::Floor("kprobe"),
    Tool::Bpftrace("kprobe"),
    KPROBE,
    TRACEPOINT,
];

/// The namespace's idle time, which a socket without an idle time of its own uses.
const IDLE: &str = "ipv4/tcp_keepalive_time";

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let samples = Samples::take(bench)?;
    let kernel = |tool| samples.each(tool, Sample::kernel_per_probe);
    let cpu = |tool| samples.each(tool, Sample::cpu_per_event);
    let peak = |tool| samples.each(tool, |sample| sample.peak as f64 / 1e6);

    for (way, ours, of_bpftrace) in [("fentry", JSON, 0.35), ("kprobe", KPROBE, 0.5)] {
        let row = Row::new(format!("kernel time per probe, {way}"), "ns", kernel(ours));
        let row = row
            .floor(kernel(Tool::Floor(way)))
            .bpftrace(kernel(Tool::Bpftrace(way)));
        table.add(
            row.at_most_times(of_bpftrace, Against::Bpftrace)
                .at_most_times(1.5, Against::Floor),
        );
    }
    let name = "kernel time per probe, tracepoint";
    table.add(Row::new(name, "ns", kernel(TRACEPOINT)));

    let probe = kernel(JSON);
    let half = |row: Row| {
        row.other("a probe", probe.clone())
            .at_most_times(0.5, Against::Other)
    };
    let name = "kernel time per expiry that is no probe, fentry";
    table.add(half(Row::new(name, "ns", expiries(bench)?)));
    let name = "kernel time per event that a filter drops, fentry";
    table.add(half(Row::new(name, "ns", kernel(FILTERED))));

    for (format, ours) in [("table", TABLE), ("JSON", JSON)] {
        let name = format!("CPU of the process per event, {format} to /dev/null");
        let row = Row::new(name, "ns", cpu(ours))
            .floor(cpu(Tool::Floor("fentry")))
            .bpftrace(cpu(Tool::Bpftrace("fentry")));
        table.add(row.at_most_times(0.1, Against::Bpftrace));
    }

    let name = format!("peak resident memory at {} sockets", bench.plan.sockets);
    let row = Row::new(name, "MB", peak(JSON))
        .floor(peak(Tool::Floor("fentry")))
        .bpftrace(peak(Tool::Bpftrace("fentry")));
    table.add(row.at_most_in_all(16.0));
    samples.notes(table);
    Ok(())
}

/// Every tool's samples, in the order of [`TOOLS`].
struct Samples(Vec<Vec<Sample>>);

impl Samples {
    fn take(bench: &Bench) -> Result<Self> {
        let mut load = Load::open(bench.plan.sockets)?;
        let mut samples = vec![Vec::new(); TOOLS.len()];
        for _ in 0..bench.plan.rounds {
            for (tool, samples) in TOOLS.into_iter().zip(&mut samples) {
                let sample = watch(bench, &mut load, tool, 1, bench.plan.window)
                    .with_context(|| format!("with {tool:?}"))?;
                samples.extend(sample);
            }
        }
        Ok(Self(samples))
    }

    fn of(&self, tool: Tool) -> &[Sample] {
        let at = TOOLS.iter().position(|known| *known == tool);
        at.and_then(|at| self.0.get(at)).map_or(&[], Vec::as_slice)
    }

    fn each(&self, tool: Tool, value: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.of(tool).iter().map(value).collect()
    }

    fn notes(&self, table: &mut Table) {
        let total = |tool: Tool, value: fn(&Sample) -> u64| -> u64 {
            self.of(tool).iter().map(value).sum()
        };
        for (name, tool) in [("katrace", JSON), ("bpftrace", Tool::Bpftrace("fentry"))] {
            table.note(format!(
                "{name} under this load: {} probes, {} runs of its programs, {} lost",
                total(tool, |sample| sample.probes),
                total(tool, |sample| sample.runs),
                total(tool, |sample| sample.lost),
            ));
        }
        if let Some(sample) = self.of(JSON).last() {
            table.note(sample.account.clone());
        }
    }
}

/// Nanoseconds for an expiry at which the timer sends no probe and is only set again. Every timer is set to a
/// second or two. Then the idle time of the namespace is raised to two hours.
fn expiries(bench: &Bench) -> Result<Vec<f64>> {
    let mut load = Load::open(bench.plan.sockets)?;
    let mut values = Vec::new();
    for _ in 0..bench.plan.rounds {
        load.pair.ours.sysctl(IDLE, 2)?;
        let subject = Subject::start(bench, JSON)?.context("no katrace to measure")?;
        let counters = Counters::of(&load.pair.ours)?;
        let before = subject.used()?;
        load.begin_plain()?;
        load.pair.ours.sysctl(IDLE, 7200)?;
        sleep(Duration::from_millis(2500));
        settle();
        let mut sample = Sample::default();
        sample.add(before, subject.used()?);
        subject.stop()?;
        load.end()?;
        let probes = Counters::of(&load.pair.ours)?.since(counters).keepalive;
        ensure!(
            probes == 0,
            "{probes} probes where every timer was to wait on"
        );
        let sockets = load.sockets as u64;
        // Each expiry runs two programs, at the entry and at the exit. Other sockets of the host may add runs.
        ensure!(
            sample.runs >= 2 * sockets,
            "{sockets} timers expired, the programs ran {} times",
            sample.runs
        );
        values.push(2.0 * sample.kernel_ns as f64 / sample.runs as f64);
    }
    Ok(values)
}
