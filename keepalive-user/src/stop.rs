//! What ends a run: the user, or the duration asked for.

use std::{
    future,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant as Moment, sleep_until},
};

use crate::error::Error;

/// What ends a run from outside.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    deadline: Option<Instant>,
}

impl Stop {
    /// Listens for SIGINT and SIGTERM. A signal that comes before it is asked for is not lost.
    ///
    /// # Errors
    ///
    /// The signals cannot be handled.
    pub fn listen() -> Result<Self, Error> {
        let on = |kind| {
            signal(kind).map_err(|source| Error::Internal {
                operation: "listening for signals",
                source,
            })
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            deadline: None,
        })
    }

    /// The duration counts from the first record.
    pub fn start_clock(&mut self, duration: Option<Duration>) {
        self.deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
    }

    /// Resolves when the run is to end.
    pub async fn asked(&mut self) {
        let deadline = self.deadline;
        tokio::select! {
            () = self.signal() => {}
            () = at(deadline) => {}
        }
    }

    /// Resolves at the next signal. While a run is already ending, that is a second signal.
    pub async fn signal(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Resolves at that moment. With `None` it never resolves.
pub async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(Moment::from_std(moment)).await,
        None => future::pending().await,
    }
}
