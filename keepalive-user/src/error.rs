//! Why a command ended badly.

use std::io;

use crate::source::HostError;

/// Why a command ended badly; `Display` is one line, safe for a terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This host refuses: privilege, kernel, BTF or lockdown.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A fault in katrace, or in what every process may expect of a host.
    #[error("{operation}: {source}")]
    Internal {
        /// What katrace was doing, as in "writing to stdout".
        operation: &'static str,
        /// What went wrong.
        source: io::Error,
    },
}

impl Error {
    /// Makes an error of this operation out of one of input or output, for `map_err`.
    pub fn during(operation: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Internal { operation, source }
    }
}
