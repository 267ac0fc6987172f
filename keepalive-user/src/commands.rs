//! From the command line to an exit code.

use std::process::ExitCode;

use crate::{
    audit_command::{self, Outcome},
    cli::{self, Request},
    error::Error,
    messages, output,
    sinks::Buffers,
    sockets_command,
    trace::{self, Ended},
};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    Clean = 0,
    /// `audit` found something, or the output of a trace was cut short.
    NotClean = 1,
    /// The command line is wrong.
    Usage = 2,
    /// This host refuses.
    Host = 3,
    /// A fault in katrace.
    Internal = 4,
}

/// The whole program: reads the command line, does what it asks for, and says on stderr what went
/// wrong.
pub fn main() -> ExitCode {
    let request = match cli::parse(std::env::args_os()) {
        Ok(request) => request,
        Err(usage) => {
            messages::say(format_args!("katrace: {usage}"));
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    let exit = match run(request) {
        Ok(exit) => exit,
        Err(error) => {
            messages::explain(&error);
            match error {
                Error::Host(_) => Exit::Host,
                Error::Internal { .. } => Exit::Internal,
            }
        }
    };
    ExitCode::from(exit as u8)
}

fn run(request: Request) -> Result<Exit, Error> {
    match request {
        Request::Print(text) => print(text)?,
        Request::Trace(settings) => {
            // In that case a line on stderr already says what is missing.
            if trace::run(&settings)? == Ended::CutShort {
                return Ok(Exit::NotClean);
            }
        }
        Request::Sockets(settings) => sockets_command::run(*settings)?,
        Request::Audit(request) => {
            if audit_command::run(&request)? == Outcome::Findings {
                return Ok(Exit::NotClean);
            }
        }
    }
    Ok(Exit::Clean)
}

/// Writes help or the version to stdout.
fn print(text: String) -> Result<(), Error> {
    let mut buffers = Buffers {
        out: text.into_bytes(),
        ..Buffers::default()
    };
    // False means that the reader has gone, which is no error.
    let _is_read = output::write(&mut buffers).map_err(Error::during("writing to stdout"))?;
    Ok(())
}
