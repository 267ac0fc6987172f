//! One line for each scenario, and the score at the end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context, Result, anyhow};
use nix::sys::utsname::uname;

use crate::lab::RetryReason;

pub struct Report {
    kernel: String,
    score: Mutex<Score>,
}

#[derive(Default)]
struct Score {
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// Marks a line about a scenario that is run again; `cargo xtask test` lists them at its end.
const RETRY: &str = "RETRY";

impl Report {
    pub fn new() -> Result<Self> {
        let kernel = uname()?
            .release()
            .to_str()
            .context("a kernel release in UTF-8")?
            .to_owned();
        Ok(Self {
            kernel,
            score: Mutex::default(),
        })
    }

    /// Runs one scenario and reports how it went. With `may_retry`, a failure with a [`RetryReason`] is reported as a
    /// run that does not count; returns true for that.
    pub fn judge(
        &self,
        backend: &str,
        name: &str,
        may_retry: bool,
        run: impl FnOnce() -> Result<()>,
    ) -> bool {
        let began = Instant::now();
        // A scenario that panics is one failure, not the end of the list.
        match catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(anyhow!("it panicked"))) {
            Ok(()) => {
                let _guard = self.count(|score| score.passed += 1);
                self.line(backend, name, "passed", began, "");
            }
            Err(error) if may_retry && error.is::<RetryReason>() => {
                let _guard = self.count(|_| ());
                let text = format!("{error:#}");
                let mut lines = text.lines();
                let first = lines.next().unwrap_or_default();
                println!("{RETRY} {} {backend} {name} {first}", self.kernel);
                lines.for_each(|line| println!("    {line}"));
                return true;
            }
            Err(error) => self.failed(backend, name, began, &error),
        }
        false
    }

    pub fn failed(&self, backend: &str, name: &str, began: Instant, error: &anyhow::Error) {
        let _guard = self.count(|score| score.failed += 1);
        let text = format!("{error:#}");
        let mut lines = text.lines();
        self.line(
            backend,
            name,
            "FAILED",
            began,
            lines.next().unwrap_or_default(),
        );
        for line in lines {
            println!("    {line}");
        }
    }

    pub fn skipped(&self, backend: &str, name: &str, reason: &str) {
        let _guard = self.count(|score| score.skipped += 1);
        self.line(backend, name, "skipped", Instant::now(), reason);
    }

    /// Prints the score; true when nothing failed.
    pub fn finish(self) -> bool {
        let score = self
            .score
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        println!(
            "{} passed, {} failed, {} skipped",
            score.passed, score.failed, score.skipped
        );
        score.failed == 0
    }

    /// The guard keeps the lines of one scenario together.
    fn count(&self, add: impl FnOnce(&mut Score)) -> std::sync::MutexGuard<'_, Score> {
        let mut score = self.score.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut score);
        score
    }

    fn line(&self, backend: &str, name: &str, verdict: &str, began: Instant, reason: &str) {
        let seconds = began.elapsed().as_secs_f32();
        let kernel = &self.kernel;
        let line = format!("RESULT {kernel} {backend} {name} {verdict} {seconds:.1}s {reason}");
        println!("{}", line.trim_end());
    }
}
