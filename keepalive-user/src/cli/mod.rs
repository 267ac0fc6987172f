//! The command line.
//!
//! `args` says what can be typed, `words` which words some arguments take, `parse` reads the text of
//! one value, `host` asks this host about it, `validate` and `audit` join them to a request, `error`
//! says what is wrong.

mod args;
mod audit;
mod error;
pub(crate) mod every_value;
mod host;
mod parse;
mod validate;
mod value;
mod words;

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
    /// Judge sockets, print a plan, or list the rules or the path profiles.
    Audit(Box<AuditRequest>),
    /// Help or the version: write this to stdout and exit with success.
    Print(String),
}

/// Reads a command line. Its first word is the name of the program.
///
/// # Errors
///
/// Something is not understood, or names something that this host does not have. The message is one
/// line; the exit code for it is 2.
///
/// # Examples
///
/// ```
/// use katrace::cli::{self, Request};
///
/// let request = cli::parse(["katrace", "-D", "5432", "-d", "5m"])?;
/// let Request::Trace(settings) = request else {
///     unreachable!("tracing is the default command");
/// };
/// assert_eq!(settings.filters.rports, [5432..=5432]);
///
/// let refusal = cli::parse(["katrace", "-D", "70000"]).unwrap_err();
/// assert!(refusal.to_string().starts_with("-D 70000: ports end at 65535"));
/// # Ok::<(), cli::UsageError>(())
/// ```
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

/// The description of the command line: the source of the help, of man pages and of completions.
pub fn command() -> clap::Command {
    args::Cli::command()
}
