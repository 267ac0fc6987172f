//! `katrace audit` from start to end: the rooms joined.

use std::io;

use crate::{
    Error,
    audit::{self, AuditRequest, AuditSettings},
    output,
    progress::Progress,
    sinks::{self, Buffers, Screen},
    snapshot::{Namespace, Reader, Row, Snapshot, Visitor},
};

/// Whether the run found what it was to fail on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Clean,
    Findings,
}

/// Does what was asked for and prints it.
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
        .map_err(|source| Error::Internal {
            operation: "writing to stdout",
            source,
        })?;
    // A reader that went away is a quiet end.
    Ok(if read { outcome } else { Outcome::Clean })
}

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

/// A snapshot in the making.
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
