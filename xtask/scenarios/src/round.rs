//! The scenarios of one backend.
//!
//! Where a control runs beside them, a scenario that shares the tracer and in which the kernel counted
//! more than katrace showed is run again, at most twice, if the kernel ran no program in some timer
//! softirqs meanwhile: nothing on tracepoints could have seen what happened there. Every other failure
//! stands at once, and without a control all do.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    lab::{Control, Excuse, Katrace, Start, Tracer, crowd::Crowd},
    report::Report,
    scenarios::{Kind, Prepare, Scenario},
};

/// How often such a scenario is run at most.
const TRIES: usize = 3;

/// One backend.
pub struct Round<'a> {
    pub katrace: &'a Katrace,
    pub chosen: &'a [&'a Scenario],
    pub report: &'a Report,
    pub control: Option<Arc<Control>>,
}

impl Round<'_> {
    pub fn run(&self) {
        // First, while nothing else keeps the machine busy: some of these are about time.
        for scenario in self.chosen {
            if let Kind::Alone(run) = scenario.kind {
                self.judge(scenario, || run(self.katrace));
            }
        }
        self.together();
        let mut crowd = None;
        for scenario in self.chosen {
            if let Kind::Load(run) = scenario.kind {
                self.judge(scenario, || {
                    let crowd = match &mut crowd {
                        Some(crowd) => crowd,
                        None => crowd.insert(Crowd::gather(self.control.clone())?),
                    };
                    run(self.katrace, crowd)
                });
            }
        }
    }

    /// Everything that may overlap: prepared at once and played under one tracer, then those with
    /// tracers of their own.
    fn together(&self) {
        let mut shared: Vec<_> = self
            .chosen
            .iter()
            .filter_map(|scenario| match scenario.kind {
                Kind::Shared(prepare) => Some((*scenario, prepare)),
                _ => None,
            })
            .collect();
        for tries_left in (0..TRIES).rev() {
            if !shared.is_empty() {
                shared = self.under_one_tracer(&shared, tries_left > 0);
            }
        }
        // Only now: a call that sleeps in the kernel while another tracer attaches to the same
        // function returns past the programs of both.
        thread::scope(|scope| {
            for scenario in self.chosen {
                if let Kind::Beside(run) = scenario.kind {
                    scope.spawn(move || self.judge(scenario, || run(self.katrace)));
                }
            }
        });
    }

    /// Returns those to be run again.
    fn under_one_tracer<'s>(
        &self,
        shared: &[(&'s Scenario, Prepare)],
        may_excuse: bool,
    ) -> Vec<(&'s Scenario, Prepare)> {
        let control = self.control.as_deref().filter(|_| may_excuse);
        let prepared: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = shared
                .iter()
                .map(|shared| (shared, scope.spawn(shared.1)))
                .collect();
            threads
                .into_iter()
                .map(|(shared, thread)| (shared, thread.join()))
                .collect()
        });
        let tracer = match self.katrace.start(["-e", "all"]).and_then(Start::ready) {
            Ok(tracer) => tracer,
            Err(error) => {
                for (scenario, _) in shared {
                    self.judge(scenario, || Err(anyhow!("{error:#}")));
                }
                return Vec::new();
            }
        };
        let again = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for (shared, act) in prepared {
                let (tracer, again) = (&tracer, &again);
                scope.spawn(move || {
                    let name = shared.0.name;
                    let excuse = Excuse::from_now(control);
                    let run = || {
                        let act = act.map_err(|_| anyhow!("the preparation died"))?;
                        act.and_then(|act| act(tracer))
                    };
                    let is_excused = |error: &_| excuse.holds_for(name, error);
                    let backend = &self.katrace.backend;
                    if self.report.judge_unless(backend, name, run, is_excused) {
                        let mut again = again.lock().unwrap_or_else(PoisonError::into_inner);
                        again.push(*shared);
                    }
                });
            }
        });
        self.report
            .judge(&self.katrace.backend, "shared-summary", || adds_up(tracer));
        again.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, scenario: &Scenario, run: impl FnOnce() -> Result<()>) {
        self.report.judge(&self.katrace.backend, scenario.name, run);
    }
}

/// The summary counts what was printed, and nothing of so little was lost.
fn adds_up(tracer: Tracer) -> Result<()> {
    let stopped = tracer.stop()?;
    let summary = stopped.summary()?;
    println!(
        "  runs of its programs skipped by the kernel: {}",
        summary["skipped"]
    );
    for (name, event) in [
        ("probes", "probe"),
        ("answered", "answered"),
        ("stalled", "stalled"),
        ("timeouts", "timeout"),
        ("resets", "reset"),
        ("noticed", "noticed"),
    ] {
        let said = summary[name]
            .as_u64()
            .with_context(|| format!("no `{name}` in {summary}"))?;
        let shown = stopped.count(event);
        ensure!(
            said == shown,
            "`{name}` is {said} in the summary, {shown} lines were printed"
        );
    }
    ensure!(summary["lost"] == 0, "lost records: {summary}");
    Ok(())
}
