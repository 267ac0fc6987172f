//! The scenarios that katrace must pass, the demo, and the init of the guests that run them.

mod actor;
mod bench;
mod cli;
mod demo;
mod init;
mod lab;
mod protocol;
mod report;
mod round;
mod run;
mod scenarios;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use cli::{Backend, Cli, Verb};

fn main() -> ExitCode {
    if std::process::id() == 1 {
        return init::run();
    }
    match begin(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("katrace-scenarios: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn begin(cli: Cli) -> Result<bool> {
    match cli.verb {
        Verb::Actor { name, adopt } => actor::run(&name, &adopt).map(|()| true),
        Verb::Bench(options) => bench::run(&options),
        Verb::Floor(options) => bench::floor::run(&options).map(|()| true),
        Verb::Demo { katrace, screen } => demo::run(&katrace, screen.as_deref()),
        Verb::Run(options) if options.list => {
            for scenario in scenarios::ALL {
                println!("{:<26} {}", scenario.name, scenario.about);
            }
            Ok(true)
        }
        Verb::Run(options) => run::run(&run::Plan {
            path: options.katrace.context("--katrace is missing")?,
            backends: Backend::names(&options.attach),
            only: options.only,
            programs: options.programs,
            control: options.control,
        }),
    }
}
