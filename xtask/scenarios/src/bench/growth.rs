//! The cost at one rate of probes from more and more sockets.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
    Bench,
    load::Load,
    subject::Tool,
    table::{Against, Row, Table},
    window::{Sample, watch},
};

const KATRACE: Tool = Tool::Katrace("fentry", &["-o", "json"]);
/// The cost counts as constant within this factor.
const FLAT: f64 = 1.1;
/// A number of sockets, and the bound in MB for the memory that is used with them.
const MEMORY: (usize, f64) = (50_000, 40.0);

type Measure = fn(&Sample) -> f64;

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let sizes = bench.plan.growth;
    let mut samples = Vec::new();
    for sockets in sizes {
        samples.push(of(bench, sockets)?);
    }
    let [smallest, ..] = sizes;
    let values = |at: usize, value: &dyn Fn(&Sample) -> f64| -> Vec<f64> {
        samples.get(at).into_iter().flatten().map(value).collect()
    };
    let measures: [(&str, Measure); 2] = [
        ("kernel time", Sample::kernel_per_probe),
        ("CPU of the process", Sample::cpu_per_event),
    ];
    for (name, value) in measures {
        for (at, sockets) in sizes.iter().enumerate() {
            let name = format!("{name} per probe, {smallest} probes/s from {sockets} sockets");
            let mut row = Row::new(name, "ns", values(at, &value));
            if at > 0 {
                row = row
                    .other("fewest sockets", values(0, &value))
                    .at_most_times(FLAT, Against::Other);
            }
            table.add(row);
        }
    }
    let [.., most] = sizes;
    let name = format!("peak resident memory at {most} sockets");
    let last = sizes.len() - 1;
    let row = Row::new(name, "MB", values(last, &|sample| sample.peak as f64 / 1e6));
    table.add(if most == MEMORY.0 {
        row.at_most_in_all(MEMORY.1)
    } else {
        row
    });
    Ok(())
}

/// All sizes are watched for the same time, long enough for each socket of the largest to probe.
fn of(bench: &Bench, sockets: usize) -> Result<Vec<Sample>> {
    let [smallest, .., most] = bench.plan.growth;
    let (period, longest) = (sockets / smallest, most / smallest);
    let lasting = bench.plan.window + Duration::from_secs((longest - period) as u64);
    let mut load = Load::open(sockets)?;
    (0..bench.plan.growth_rounds)
        .map(|_| {
            watch(bench, &mut load, KATRACE, period as u32, lasting)?
                .context("no katrace to measure")
        })
        .collect()
}
