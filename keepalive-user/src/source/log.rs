//! The kernel half's own log, for `-v`: aya-log's ring to stderr.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use super::error::HostError;

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
pub fn start(ebpf: &mut Ebpf) -> Result<(), HostError> {
    let logger = EbpfLogger::init_with_logger(ebpf, &STDERR).map_err(HostError::Log)?;
    let mut logger = super::opened::watch(logger, "watching the kernel half's log")?;
    tokio::spawn(async move {
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
    Ok(())
}
