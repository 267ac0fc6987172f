//! The rate at which events begin to be lost, against the rate that the guest can send at.

use anyhow::{Context, Result};

use super::{
    Bench,
    load::Load,
    subject::Tool,
    table::{Row, Table},
    window::{Sample, watch},
};

const KATRACE: Tool = Tool::Katrace("fentry", &["-o", "json"]);
const BPFTRACE: Tool = Tool::BpftraceCounted("fentry");
/// If the rate differs from the rate asked for by more than this part, the guest is at its limit. Either it does not
/// run all timers in time, or its own queue drops probes, which the kernel then sends again after half a second.
const SATURATED: f64 = 0.1;

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let mut steps = Vec::new();
    for sockets in bench.plan.rates {
        let mut load = Load::open(*sockets)?;
        let mut run = |tool| watch(bench, &mut load, tool, 1, bench.plan.window);
        let step = Step {
            asked: *sockets,
            nothing: run(Tool::Nothing)?.context("nothing can always be had")?,
            katrace: run(KATRACE)?.context("no katrace to measure")?,
            bpftrace: run(BPFTRACE)?,
        };
        table.note(step.text());
        table.note(step.katrace.account.clone());
        let saturated = step.saturated();
        steps.push(step);
        // The guest cannot send at a higher rate.
        if saturated {
            break;
        }
    }
    let best = |rates: &mut dyn Iterator<Item = f64>| vec![rates.fold(0.0, f64::max)];
    let whole = steps.iter().filter(|step| step.katrace.lost == 0);
    let row = Row::new(
        "highest probe rate with nothing lost, default ring",
        "probes/s",
        best(&mut whole.map(|step| step.katrace.rate())),
    )
    .other(
        "nothing attached",
        best(&mut steps.iter().map(|step| step.nothing.rate())),
    );
    // What katrace lost before the guest was at its limit. Below: the loads at which it lost more than bpftrace.
    let early = steps.iter().filter(|step| !step.saturated());
    let early: u64 = early.map(|step| step.katrace.lost).sum();
    let compared: Vec<_> = steps
        .iter()
        .filter_map(|step| Some((step, step.bpftrace.as_ref()?)))
        .collect();
    let worse = compared
        .iter()
        .filter(|(step, theirs)| share(&step.katrace) > share(theirs));
    let worse = worse.count() as f64;
    table.add(
        row.at_most(
            "lost before the guest is at its limit".into(),
            Some(early as f64),
            0.0,
        )
        .at_most(
            "loads at which a larger share is lost than with bpftrace".into(),
            (!compared.is_empty()).then_some(worse),
            0.0,
        ),
    );
    if !steps.iter().any(Step::saturated) {
        table.note("no rate asked for brought the guest to its limit".into());
    }
    Ok(())
}

/// All tools at one rate.
struct Step {
    asked: usize,
    nothing: Sample,
    katrace: Sample,
    bpftrace: Option<Sample>,
}

impl Step {
    fn saturated(&self) -> bool {
        (self.nothing.rate() / self.asked as f64 - 1.0).abs() > SATURATED
    }

    fn text(&self) -> String {
        let theirs = match &self.bpftrace {
            Some(sample) => format!(
                "bpftrace {:.0}/s, {:.1} % lost",
                sample.rate(),
                100.0 * share(sample)
            ),
            None => "no bpftrace".into(),
        };
        format!(
            "{} sockets, a probe a second each: {:.0}/s with nothing attached{}; katrace {:.0}/s, {:.1} % lost; {theirs}",
            self.asked,
            self.nothing.rate(),
            if self.saturated() {
                " (the guest's limit)"
            } else {
                ""
            },
            self.katrace.rate(),
            100.0 * share(&self.katrace),
        )
    }
}

/// The share of all events that was lost.
fn share(sample: &Sample) -> f64 {
    let all = sample.events.unwrap_or(0) + sample.lost;
    sample.lost as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_probes_and_too_many_both_show_the_limit() {
        let saturated = |sent| {
            let nothing = Sample {
                probes: sent,
                seconds: 1.0,
                ..Sample::default()
            };
            Step {
                asked: 1000,
                nothing,
                katrace: Sample::default(),
                bpftrace: None,
            }
            .saturated()
        };
        assert!(saturated(850) && saturated(1200));
        assert!(!saturated(950) && !saturated(1050));
    }
}
