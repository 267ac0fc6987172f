//! One line of progress for each step that takes long.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

const PATIENCE: Duration = Duration::from_secs(2);

/// Runs `work`; says what is being done once it takes over two seconds, and how long it took at the end.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let (done, wait) = mpsc::channel::<()>();
    let title = what.to_owned();
    let teller = thread::spawn(move || {
        let slow = wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if slow {
            say(&format!("{title} …"));
        }
        slow
    });
    let result = work();
    drop(done);
    let told = teller.join().unwrap_or(false);
    if told && result.is_ok() {
        say(&format!("{what}: {:.1} s", started.elapsed().as_secs_f64()));
    }
    result
}

/// One line of progress. It goes to stderr: stdout belongs to the program that xtask runs.
pub fn say(line: &str) {
    eprintln!("[xtask] {line}");
}
