//! All scenarios of one backend.
//!
//! A scenario fails at once, with one exception: an event is missing, katrace showed everything that was visible in
//! the scenario's network namespaces, and the kernel counted more there (see `lab/account.rs`). Such a scenario stopped
//! before its end, so it is run again, at most twice. The report names each such run.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    lab::{Katrace, Start, Tracer, control::Softirqs, crowd::Crowd},
    report::Report,
    scenarios::{Kind, Prepare, Scenario},
};

/// How often a scenario is run at most.
const TRIES: usize = 3;

/// One backend.
pub struct BackendRun<'a> {
    pub katrace: &'a Katrace,
    pub chosen: &'a [&'a Scenario],
    pub report: &'a Report,
}

impl BackendRun<'_> {
    pub fn run(&self) {
        let softirqs = self.softirqs();
        for scenario in self.chosen {
            if let Kind::Serial(run) = scenario.kind {
                self.judge(scenario, || run(self.katrace));
            }
        }
        self.shared();
        self.parallel();
        self.load();
        if let Some((now, base)) = self.softirqs().zip(softirqs) {
            let (hidden, counted) = (now.hidden_since(base), now.counted_since(base));
            println!("  timer softirqs without any program: {hidden} of {counted}");
        }
    }

    fn softirqs(&self) -> Option<Softirqs> {
        self.katrace.control.as_deref()?.softirqs().ok()
    }

    /// Prepares the shared scenarios at the same time and runs them under one tracer. Those that may be run again
    /// follow under a new tracer.
    fn shared(&self) {
        let mut left: Vec<_> = self
            .chosen
            .iter()
            .filter_map(|scenario| match scenario.kind {
                Kind::Shared(prepare) => Some((*scenario, prepare)),
                _ => None,
            })
            .collect();
        for tries_left in (0..TRIES).rev() {
            if !left.is_empty() {
                left = self.under_one_tracer(&left, tries_left > 0);
            }
        }
    }

    /// Runs the scenarios that have tracers of their own. They come after the shared ones: a call that sleeps in the
    /// kernel while another tracer attaches to the same function returns without running the programs of either tracer.
    fn parallel(&self) {
        thread::scope(|scope| {
            for scenario in self.chosen {
                if let Kind::Parallel(run) = scenario.kind {
                    scope.spawn(move || self.judge(scenario, || run(self.katrace)));
                }
            }
        });
    }

    fn load(&self) {
        let mut crowd = None;
        for scenario in self.chosen {
            if let Kind::Load(run) = scenario.kind {
                self.judge(scenario, || {
                    let crowd = match &mut crowd {
                        Some(crowd) => crowd,
                        None => crowd.insert(Crowd::gather()?),
                    };
                    run(self.katrace, crowd)
                });
            }
        }
    }

    /// Returns the scenarios to run again.
    fn under_one_tracer<'s>(
        &self,
        shared: &[(&'s Scenario, Prepare)],
        may_retry: bool,
    ) -> Vec<(&'s Scenario, Prepare)> {
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
        let backend = &self.katrace.backend;
        let tracer = match self.katrace.start(["-e", "all"]).and_then(Start::ready) {
            Ok(tracer) => tracer,
            Err(error) => {
                for (scenario, _) in shared {
                    let error = || Err(anyhow!("{error:#}"));
                    self.report.judge(backend, scenario.name, false, error);
                }
                return Vec::new();
            }
        };
        let again = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for (shared, act) in prepared {
                let (tracer, again) = (&tracer, &again);
                scope.spawn(move || {
                    let run = || {
                        let act = act.map_err(|_| anyhow!("the preparation died"))?;
                        act.and_then(|act| act(tracer))
                    };
                    if self.report.judge(backend, shared.0.name, may_retry, run) {
                        let mut again = again.lock().unwrap_or_else(PoisonError::into_inner);
                        again.push(*shared);
                    }
                });
            }
        });
        let summary = || adds_up(tracer);
        self.report.judge(backend, "shared-summary", false, summary);
        again.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, scenario: &Scenario, mut run: impl FnMut() -> Result<()>) {
        let backend = &self.katrace.backend;
        for tries_left in (0..TRIES).rev() {
            let may_retry = tries_left > 0;
            if !self
                .report
                .judge(backend, scenario.name, may_retry, &mut run)
            {
                break;
            }
        }
    }
}

/// The summary counts what was printed. So few events cannot fill the ring, so none may be lost.
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
        let counted = summary[name]
            .as_u64()
            .with_context(|| format!("no `{name}` in {summary}"))?;
        let shown = stopped.count(event);
        ensure!(
            counted == shown,
            "`{name}` is {counted} in the summary, {shown} lines were printed"
        );
    }
    ensure!(summary["lost"] == 0, "lost records: {summary}");
    Ok(())
}
