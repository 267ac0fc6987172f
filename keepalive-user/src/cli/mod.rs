//! The command line: flags as typed (`args`), their meaning (`validate`, `host`), their refusal
//! (`error`).

mod args;
mod audit;
mod error;
mod host;
mod parse;
mod validate;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, error::ErrorKind};

pub use error::UsageError;

use crate::{
    audit::AuditRequest,
    settings::{SocketsSettings, TraceSettings},
};

/// What a command line asks for.
#[derive(Debug)]
pub enum Request {
    /// Watch events.
    Trace(Box<TraceSettings>),
    /// List sockets.
    Sockets(Box<SocketsSettings>),
    /// Judge sockets, or tell what that goes by.
    Audit(Box<AuditRequest>),
    /// Help or version: write this to stdout and leave with success.
    Print(String),
}

/// Reads a command line, the program's name first.
///
/// # Errors
///
/// Anything that is not understood or names something this host does not have; the message is one
/// line and the exit code for it is 2.
pub fn parse<I, T>(argv: I) -> Result<Request, UsageError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match args::Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(refusal) => {
            return match refusal.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    Ok(Request::Print(refusal.render().to_string()))
                }
                _ => Err(UsageError::from_clap(&refusal)),
            };
        }
    };
    let trace = match cli.command {
        Some(args::Command::Sockets(sockets)) => {
            return validate::sockets(&sockets)
                .map(|settings| Request::Sockets(Box::new(settings)));
        }
        Some(args::Command::Trace(trace)) => trace,
        Some(args::Command::Audit(args)) => {
            return audit::audit(&args).map(|request| Request::Audit(Box::new(request)));
        }
        None => cli.trace,
    };
    validate::trace(&trace).map(|settings| Request::Trace(Box::new(settings)))
}

/// The command line's description: the source of help, and of a man page or completions.
pub fn command() -> clap::Command {
    args::Cli::command()
}
