//! The kernel half's own log, for `-v`: from aya-log's ring to stderr.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use super::ring;
use crate::source::error::HostError;

/// Writes each line to stderr.
struct Stderr;

static STDERR: Stderr = Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        eprintln!("katrace: kernel half: {}", record.args());
    }

    fn flush(&self) {}
}

/// Follows the log until the program ends.
///
/// # Errors
///
/// The log's ring cannot be opened, or not be waited for.
pub fn start(ebpf: &mut Ebpf) -> Result<(), HostError> {
    let logger = EbpfLogger::init_with_logger(ebpf, &STDERR).map_err(HostError::Log)?;
    let mut logger = ring::wait_for(logger, "registering the kernel half's log for waiting")?;
    tokio::spawn(async move {
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
    Ok(())
}
