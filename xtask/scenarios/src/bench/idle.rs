//! What it costs to be attached while nothing happens.

use std::{process::Stdio, thread::sleep};

use anyhow::Result;

use super::{
    Bench,
    subject::Subject,
    table::{Row, Table},
    window::Sample,
};

/// One tick of the clock that /proc/PID/stat counts in: less cannot be seen there.
const TICK_MS: f64 = 10.0;

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    for way in ["fentry", "kprobe", "tracepoint"] {
        let command = bench.katrace(way).command(["-o", "json"]);
        let subject = Subject::spawn(command, Stdio::null())?;
        let before = subject.used()?;
        sleep(bench.plan.idle);
        let mut sample = Sample::default();
        sample.add(before, subject.used()?);
        subject.stop()?;
        let ms = (sample.cpu_ns + sample.kernel_ns) as f64 / 1e6;
        let name = format!(
            "CPU in {} s without an event, process and programs, {way}",
            bench.plan.idle.as_secs()
        );
        table.add(Row::new(name, "ms", vec![ms]).at_most_in_all(TICK_MS));
        table.note(format!(
            "idle, {way}: the process {:.2} ms, its programs {:.2} ms in {} runs",
            sample.cpu_ns as f64 / 1e6,
            sample.kernel_ns as f64 / 1e6,
            sample.runs
        ));
    }
    Ok(())
}
