//! `katrace audit` from start to end.

use std::io;

use crate::{
    audit::{self, AuditRequest, AuditSettings},
    error::Error,
    output,
    progress::Progress,
    sinks::{self, Buffers, Screen},
    snapshot::{Namespace, Reader, Row, Snapshot, Visitor},
};

/// Whether anything was found that is to make the exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing of that severity.
    Clean,
    /// At least one finding of that severity.
    Findings,
}

/// Does what was asked for and prints it.
///
/// # Errors
///
/// No socket can be read, or stdout cannot be written.
pub fn run(request: &AuditRequest) -> Result<Outcome, Error> {
    let mut to = Buffers::default();
    let (written, outcome) = match request {
        AuditRequest::Judge(settings) => judge(settings, &mut to)?,
        AuditRequest::Plan {
            output,
            wanted,
            plan,
        } => (
            sinks::audit::plan(*output, wanted, plan, &mut to),
            Outcome::Clean,
        ),
        AuditRequest::Paths { output, profiles } => (
            sinks::audit::paths(*output, profiles, &mut to),
            Outcome::Clean,
        ),
        AuditRequest::Rules { output } => (sinks::audit::rules(*output, &mut to), Outcome::Clean),
    };
    let read = written
        .and_then(|()| output::write(&mut to))
        .map_err(Error::during("writing to stdout"))?;
    // It is no error when the reader of stdout has gone.
    Ok(if read { outcome } else { Outcome::Clean })
}

/// Reads the sockets, judges them and formats the findings.
fn judge(settings: &AuditSettings, to: &mut Buffers) -> Result<(io::Result<()>, Outcome), Error> {
    let mut reader = Reader::open(&settings.snapshot)?;
    let mut reading = Reading {
        snapshot: Snapshot::default(),
        progress: Progress::start(true),
    };
    let read = reader.read(&mut reading);
    reading.progress.end();
    read?;
    let snapshot = reading.snapshot;
    let mut verdict = audit::of(&snapshot, settings);
    if let Some(refused) = &reader.refused {
        verdict.missing.push(format!(
            "the iterator over sockets ({refused}); sock_diag and getsockopt were used instead"
        ));
    }
    let outcome = if verdict.reaches(settings.fail_on) {
        Outcome::Findings
    } else {
        Outcome::Clean
    };
    let screen = Screen::of_stdout();
    let written = sinks::audit::findings(settings.output, &screen, &verdict, to);
    Ok((written, outcome))
}

/// A snapshot that is being read.
struct Reading {
    snapshot: Snapshot,
    progress: Progress,
}

impl Visitor for Reading {
    fn row(&mut self, row: Row) -> bool {
        self.progress.step();
        self.snapshot.row(row)
    }

    fn namespace(&mut self, namespace: &Namespace) {
        self.snapshot.namespace(namespace);
    }
}
