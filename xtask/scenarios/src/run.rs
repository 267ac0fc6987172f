//! Runs the list for each backend and keeps the score.

use std::{path::PathBuf, sync::Arc, time::Instant};

use anyhow::{Result, anyhow, ensure};

use crate::{
    backend_run::BackendRun,
    lab::{Control, Katrace, Start, many::Many},
    report::Report,
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
    let working = each_backend(plan, &chosen, &report);
    many(&working, &chosen, &report);
    once_per_kernel(plan, &chosen, &report);
    if working.is_empty() {
        let error = anyhow!("no backend works on this kernel");
        report.failed("all", "attach", Instant::now(), &error);
    }
    Ok(report.finish())
}

/// Returns the backends that work here.
fn each_backend(plan: &Plan, chosen: &[&Scenario], report: &Report) -> Vec<Katrace> {
    let mut working = Vec::new();
    for backend in &plan.backends {
        let mut katrace = plan.katrace(backend);
        match probe(&katrace) {
            Ok(None) => match plan.attach_control(backend) {
                Ok(control) => {
                    katrace.control = control;
                    let run = BackendRun {
                        katrace: &katrace,
                        chosen,
                        report,
                    };
                    run.run();
                    working.push(katrace);
                }
                Err(error) => report.failed(backend, "control", Instant::now(), &error),
            },
            Ok(Some(reason)) => skip(chosen, backend, &reason, report),
            Err(error) => report.failed(backend, "attach", Instant::now(), &error),
        }
    }
    working
}

fn once_per_kernel(plan: &Plan, chosen: &[&Scenario], report: &Report) {
    let auto = plan.katrace("auto");
    for scenario in chosen {
        match (scenario.kind, &plan.programs) {
            (Kind::OncePerKernel(run), _) => {
                report.judge("auto", scenario.name, false, || run(&auto));
            }
            (Kind::Programs(run), Some(tree)) => {
                report.judge("auto", scenario.name, false, || run(&auto, tree));
            }
            _ => {}
        }
    }
}

impl Plan {
    fn katrace(&self, backend: &str) -> Katrace {
        Katrace {
            path: self.path.clone(),
            backend: backend.to_owned(),
            control: None,
        }
    }

    /// Only tracepoints are compared with the control: it knows nothing of what trampolines and kprobes see.
    fn attach_control(&self, backend: &str) -> Result<Option<Arc<Control>>> {
        let object = self.control.as_deref();
        let control = object.filter(|_| backend == "tracepoint");
        Ok(control.map(Control::attach).transpose()?.map(Arc::new))
    }
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

/// Beside so many processes every start of katrace is slow. So these scenarios run after all others.
fn many(working: &[Katrace], chosen: &[&Scenario], report: &Report) {
    let mut many = None;
    for katrace in working {
        for scenario in chosen {
            if let Kind::Many(run) = scenario.kind {
                report.judge(&katrace.backend, scenario.name, false, || {
                    let many = match &mut many {
                        Some(many) => many,
                        None => many.insert(Many::gather()?),
                    };
                    run(katrace, many)
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
        if !matches!(scenario.kind, Kind::OncePerKernel(_) | Kind::Programs(_)) {
            report.skipped(backend, scenario.name, reason);
        }
    }
}
