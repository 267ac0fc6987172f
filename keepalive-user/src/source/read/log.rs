//! The kernel half's own log, for `-v`: from aya-log's ring to stderr.

use std::{
    io::{self, Write},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use super::ring;
use crate::source::error::HostError;

/// Lines that may wait for a slow reader of stderr. What is more is dropped, and counted.
const WAITING: usize = 1024;

/// Hands each line to a thread that writes to stderr: the event loop must not wait for whoever reads it.
#[derive(Default)]
struct Stderr {
    /// The way to the thread, once there was a line; `None` inside if it could not be started.
    lines: OnceLock<Option<SyncSender<String>>>,
    /// Lines dropped since the last one that was not.
    dropped: AtomicU64,
}

impl Stderr {
    fn put(&self, line: &str) {
        let Some(lines) = self.lines.get_or_init(start_writer) else {
            return;
        };
        let dropped = self.dropped.load(Ordering::Relaxed);
        let mut text = format!("katrace: kernel half: {line}\n");
        if dropped > 0 {
            text.insert_str(
                0,
                &format!("katrace: kernel half: {dropped} lines were dropped\n"),
            );
        }
        let dropped = match lines.try_send(text) {
            Ok(()) => 0,
            Err(_) => dropped + 1,
        };
        self.dropped.store(dropped, Ordering::Relaxed);
    }
}

impl Log for Stderr {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        self.put(&record.args().to_string());
    }

    fn flush(&self) {}
}

fn start_writer() -> Option<SyncSender<String>> {
    let (sender, lines) = sync_channel::<String>(WAITING);
    let write = move || {
        for line in lines {
            // If stderr is closed, nobody can be told.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    };
    let thread = thread::Builder::new().name("katrace-log".into());
    thread.spawn(write).is_ok().then_some(sender)
}

/// Follows the log until the program ends.
///
/// # Errors
///
/// The log's ring cannot be opened, or not be waited for.
pub fn start(ebpf: &mut Ebpf) -> Result<(), HostError> {
    let logger = EbpfLogger::init_with_logger(ebpf, Stderr::default()).map_err(HostError::Log)?;
    let mut logger = ring::wait_for(logger, "registering the kernel half's log for waiting")?;
    tokio::spawn(async move {
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_room_is_dropped_and_counted() {
        let (sender, lines) = sync_channel(1);
        let log = Stderr::default();
        log.lines.set(Some(sender)).unwrap();
        for line in ["one", "two", "three"] {
            // Nobody reads, and it returns all the same.
            log.put(line);
        }
        assert_eq!(lines.recv().unwrap(), "katrace: kernel half: one\n");
        log.put("four");
        log.put("five");
        assert_eq!(
            lines.recv().unwrap(),
            "katrace: kernel half: 2 lines were dropped\nkatrace: kernel half: four\n"
        );
        assert!(lines.try_recv().is_err());
    }
}
