//! katrace shows TCP keepalive at work: every probe that a socket sends, every connection that timed
//! out, why it did, with which errno, and which process it belonged to.
//!
//! Data flows one way, `source` → `decode` → `enrich` → `sinks`; no room imports from its right, and
//! `trace` joins them. docs/architecture.md is the map.

#![deny(missing_docs)]

pub mod audit;
mod audit_command;
mod cache;
pub mod cli;
mod commands;
pub mod decode;
pub mod enrich;
mod error;
pub mod event;
mod format;
#[doc(hidden)]
pub mod fuzzing;
pub mod host_files;
mod messages;
mod names;
mod output;
mod progress;
pub mod settings;
pub mod sinks;
pub mod snapshot;
mod sockets_command;
mod source;
mod stats;
mod stop;
pub mod summary;
mod trace;

pub use commands::main;
