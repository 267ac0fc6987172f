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
    /// From the start, so that a signal during attaching is not lost.
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

    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = at(self.deadline) => {}
        }
    }
}

/// At that moment; never without one.
pub async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(Moment::from_std(moment)).await,
        None => future::pending().await,
    }
}
