//! Runs the list for each backend and keeps the score.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    lab::{Katrace, Start, Tracer, crowd::Crowd, many::Many},
    report::Report,
    scenarios::{ALL, Kind, Prepare, Scenario},
};

/// What was asked for on the command line.
pub struct Plan {
    pub path: PathBuf,
    pub backends: Vec<String>,
    pub only: Vec<String>,
    /// Tree of the servers from the archive; where it is given, the scenarios with them run too.
    pub programs: Option<PathBuf>,
    /// Object of the control; with it, counts through tracepoints are judged beside it.
    pub control: Option<PathBuf>,
}

pub fn run(plan: &Plan) -> Result<bool> {
    let chosen: Vec<&Scenario> = ALL
        .iter()
        .filter(|scenario| plan.only.is_empty() || plan.only.iter().any(|o| o == scenario.name))
        .filter(|scenario| can_be_run(scenario))
        .collect();
    for name in &plan.only {
        ensure!(
            ALL.iter().any(|scenario| scenario.name == name),
            "no scenario is named {name}"
        );
    }
    let report = Report::new()?;
    let mut working = Vec::new();
    for backend in &plan.backends {
        let katrace = Katrace {
            path: plan.path.clone(),
            backend: backend.clone(),
        };
        match probe(&katrace) {
            Ok(None) => {
                working.push(backend.as_str());
                Round {
                    katrace: &katrace,
                    chosen: &chosen,
                    report: &report,
                    control: plan.control.as_deref().filter(|_| backend == "tracepoint"),
                }
                .run();
            }
            Ok(Some(reason)) => skip(&chosen, backend, &reason, &report),
            Err(error) => report.failed(backend, "attach", Instant::now(), &error),
        }
    }
    many(plan, &working, &chosen, &report);
    let auto = Katrace {
        path: plan.path.clone(),
        backend: "auto".to_owned(),
    };
    for scenario in &chosen {
        match (scenario.kind, &plan.programs) {
            (Kind::Once(run), _) => report.judge("auto", scenario.name, || run(&auto)),
            (Kind::Programs(run), Some(tree)) => {
                report.judge("auto", scenario.name, || run(&auto, tree));
            }
            _ => {}
        }
    }
    if working.is_empty() {
        report.failed(
            "all",
            "attach",
            Instant::now(),
            &anyhow!("no backend works on this kernel"),
        );
    }
    Ok(report.finish())
}

/// Where the kernel lacks what a scenario is about, says so.
fn can_be_run(scenario: &Scenario) -> bool {
    let missing = scenario.needs.filter(|feature| !feature.is_there());
    if let Some(feature) = missing {
        println!(
            "  {}: not run, this kernel has no {}",
            scenario.name, feature.name
        );
    }
    missing.is_none()
}

/// Beside so many processes every start of katrace is slow, so these come when nothing else does.
fn many(plan: &Plan, backends: &[&str], chosen: &[&Scenario], report: &Report) {
    let mut many = None;
    for backend in backends {
        let katrace = Katrace {
            path: plan.path.clone(),
            backend: (*backend).to_owned(),
        };
        for scenario in chosen {
            if let Kind::Many(run) = scenario.kind {
                report.judge(backend, scenario.name, || {
                    let many = match &mut many {
                        Some(many) => many,
                        None => many.insert(Many::gather()?),
                    };
                    run(&katrace, many)
                });
            }
        }
    }
}

/// `Some(reason)` where this kernel refuses the backend.
fn probe(katrace: &Katrace) -> Result<Option<String>> {
    match katrace.start(["-e", "probe"])? {
        Start::Ready(tracer) => {
            tracer.stop()?.summary()?;
            Ok(None)
        }
        Start::Refused(reason) => Ok(Some(reason)),
    }
}

fn skip(chosen: &[&Scenario], backend: &str, reason: &str, report: &Report) {
    for scenario in chosen {
        if !matches!(scenario.kind, Kind::Once(_) | Kind::Programs(_)) {
            report.skipped(backend, scenario.name, reason);
        }
    }
}

/// One backend.
struct Round<'a> {
    katrace: &'a Katrace,
    chosen: &'a [&'a Scenario],
    report: &'a Report,
    control: Option<&'a Path>,
}

impl Round<'_> {
    fn run(&self) {
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
                        None => crowd.insert(Crowd::gather(self.control)?),
                    };
                    run(self.katrace, crowd)
                });
            }
        }
    }

    /// Everything that may overlap: prepared at once and played under one tracer, then those with
    /// tracers of their own.
    fn together(&self) {
        let shared: Vec<_> = self
            .chosen
            .iter()
            .filter_map(|scenario| match scenario.kind {
                Kind::Shared(prepare) => Some((*scenario, prepare)),
                _ => None,
            })
            .collect();
        if !shared.is_empty() {
            self.under_one_tracer(&shared);
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

    fn under_one_tracer(&self, shared: &[(&Scenario, Prepare)]) {
        let prepared: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = shared
                .iter()
                .map(|(scenario, prepare)| (scenario, scope.spawn(prepare)))
                .collect();
            threads
                .into_iter()
                .map(|(scenario, thread)| (scenario, thread.join()))
                .collect()
        });
        let tracer = match self.katrace.start(["-e", "all"]).and_then(Start::ready) {
            Ok(tracer) => tracer,
            Err(error) => {
                for (scenario, _) in shared {
                    self.judge(scenario, || Err(anyhow!("{error:#}")));
                }
                return;
            }
        };
        thread::scope(|scope| {
            for (scenario, act) in prepared {
                let tracer = &tracer;
                scope.spawn(move || {
                    self.judge(scenario, || {
                        let act = act.map_err(|_| anyhow!("the preparation died"))?;
                        act.and_then(|act| act(tracer))
                    });
                });
            }
        });
        self.report
            .judge(&self.katrace.backend, "shared-summary", || adds_up(tracer));
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
