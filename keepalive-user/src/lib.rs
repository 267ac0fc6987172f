//! katrace shows TCP keepalive at work: every probe a socket sends, every connection that died of
//! silence, why, with which errno, and which process it belonged to.
//!
//! Data flows one way, `source` → `decode` → `enrich` → `sinks`, and no room imports from its right;
//! `trace` joins them. docs/architecture.md is the map.

pub mod audit;
mod cache;
pub mod cli;
pub mod decode;
pub mod enrich;
pub mod event;
mod inspect;
mod names;
mod output;
mod progress;
pub mod settings;
pub mod sinks;
pub mod snapshot;
mod sockets;
mod source;
mod stats;
mod stop;
pub mod summary;
mod trace;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{cli::Request, inspect::Outcome, sinks::Buffers, source::HostError, trace::Ended};

/// Exit codes of the contract.
mod exit {
    pub const FINDINGS: u8 = 1;
    pub const CUT_SHORT: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const HOST: u8 = 3;
    pub const INTERNAL: u8 = 4;
}

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("{operation}: {source}")]
    Internal {
        operation: &'static str,
        source: io::Error,
    },
}

/// The whole program: reads the command line, runs it, and says how it ended.
pub fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Request::Print(text)) => print(&text),
        Ok(Request::Trace(settings)) => match trace::run(&settings) {
            Ok(Ended::Complete) => ExitCode::SUCCESS,
            // Stderr has been told what is missing.
            Ok(Ended::CutShort) => ExitCode::from(exit::CUT_SHORT),
            Err(error) => explain(&error),
        },
        Ok(Request::Sockets(settings)) => match sockets::run(*settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => explain(&error),
        },
        Ok(Request::Audit(request)) => match inspect::run(&request) {
            Ok(Outcome::Clean) => ExitCode::SUCCESS,
            Ok(Outcome::Findings) => ExitCode::from(exit::FINDINGS),
            Err(error) => explain(&error),
        },
        Err(usage) => {
            say(format_args!("katrace: {usage}"));
            ExitCode::from(exit::USAGE)
        }
    }
}

fn print(text: &str) -> ExitCode {
    let mut buffers = Buffers {
        out: text.as_bytes().to_vec(),
        ..Buffers::default()
    };
    match output::write(&mut buffers) {
        Err(error) => {
            say(format_args!("katrace: writing to stdout: {error}"));
            ExitCode::from(exit::INTERNAL)
        }
        Ok(_) => ExitCode::SUCCESS,
    }
}

/// One line of cause, one of what to do, and the verifier's log if it was the verifier.
fn explain(error: &Error) -> ExitCode {
    say(format_args!("katrace: {error}"));
    match error {
        Error::Host(host) => {
            say(format_args!("katrace: {}", host.advice()));
            if let Some(log) = host.verifier_log() {
                say(format_args!("{log}"));
            }
            ExitCode::from(exit::HOST)
        }
        Error::Internal { .. } => ExitCode::from(exit::INTERNAL),
    }
}

/// To stderr; if even that is closed there is nobody to tell.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
