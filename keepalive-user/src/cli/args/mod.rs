//! The command line as the user types it.
//!
//! clap splits it, and finds words that are not in a closed set (`words`). All other values stay text
//! until they are validated, so that every refusal has the same form.

mod audit;
mod common;
mod sockets;
mod trace;

use clap::{Parser, Subcommand};

pub(super) use self::{
    audit::AuditArgs,
    common::{FilterArgs, SnapshotArgs},
    sockets::SocketsArgs,
    trace::TraceArgs,
};

/// Trace TCP keepalive probes and connections that time out, and name the process.
#[derive(Debug, Parser)]
#[command(
    name = "katrace",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = trace::AFTER_HELP
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub trace: TraceArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Watch events as they happen (the default)
    #[command(after_help = trace::AFTER_HELP)]
    Trace(TraceArgs),
    /// List every TCP socket with the keepalive settings that act on it
    #[command(after_help = sockets::AFTER_HELP)]
    Sockets(SocketsArgs),
    /// Findings about the settings of this host's sockets; exit 1 when there are any
    #[command(after_help = audit::AFTER_HELP)]
    Audit(AuditArgs),
}
