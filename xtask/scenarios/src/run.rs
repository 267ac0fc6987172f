//! Runs the list for each backend and keeps the score.

use std::{path::PathBuf, sync::Arc, time::Instant};

use anyhow::{Result, anyhow, ensure};

use crate::{
    lab::{Control, Katrace, Start, many::Many},
    report::Report,
    round::Round,
    scenarios::{ALL, Kind, Scenario},
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
                let control = plan.control.as_deref().filter(|_| backend == "tracepoint");
                match control.map(Control::attach).transpose() {
                    Ok(control) => Round {
                        katrace: &katrace,
                        chosen: &chosen,
                        report: &report,
                        control: control.map(Arc::new),
                    }
                    .run(),
                    Err(error) => report.failed(backend, "control", Instant::now(), &error),
                }
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
