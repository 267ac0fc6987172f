//! `katrace sockets`.

use clap::Args;

use super::common::{OutputArgs, SnapshotArgs};
use crate::{cli::words::OneOf, settings::SortBy};

pub(super) const AFTER_HELP: &str = "\
KEEPALIVE is idle/interval/count in seconds, USER is TCP_USER_TIMEOUT. A value marked * was set
on the socket, one marked + comes from the namespace's sysctl, an unmarked one is the kernel's
default, and ? is not known. LOST counts unanswered probes. IDLE-DEAD and DATA-DEAD say how long
a dead peer goes unnoticed while nothing, and while something, is in flight. A narrow terminal
shows fewer columns; -o json has every field.

Examples:
  katrace sockets                          every socket of every network namespace
  katrace sockets -N self -c 'postgres*'   one program's, in this namespace
  katrace sockets --dying --watch 2s       those with unanswered probes, every two seconds
  katrace sockets --no-keepalive -o csv    those that never notice a dead peer while idle";

/// What `katrace sockets` takes.
#[derive(Args, Debug)]
pub(in crate::cli) struct SocketsArgs {
    #[command(flatten)]
    pub output: OutputArgs,

    /// Sort by state, local, peer, pid, comm, netns, idle, user-timeout (lowest first), next-probe,
    /// detect-idle, detect-data (soonest first, never last), unanswered, silence or unacked (highest
    /// first) [default: the kernel's order]
    #[arg(
        long,
        value_name = "COLUMN",
        value_parser = OneOf::<SortBy>::new("column"),
        hide_possible_values = true
    )]
    pub sort: Option<SortBy>,

    /// Only sockets with unanswered probes
    #[arg(long)]
    pub dying: bool,

    /// Only sockets whose keepalive is off
    #[arg(long)]
    pub no_keepalive: bool,

    /// List again each time this long has passed, such as 2s, until Ctrl-C
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub watch: Option<String>,

    #[command(flatten)]
    pub snapshot: SnapshotArgs,
}
