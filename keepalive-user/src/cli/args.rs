//! Flags as the user types them. Nothing is judged here beyond what clap needs to split the line;
//! values stay text until `validate` reads them, so that every refusal speaks with one voice.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::audit::{self, AuditArgs};

const AFTER_HELP: &str = "\
Lists repeat or take commas. Records go to stdout; the banner, warnings and the summary to stderr.
Lines that say how many records were lost are always printed.

Examples:
  katrace                              every probe and every connection that timed out
  katrace -c 'postgres*' -D 5432       one program, one port
  katrace -e timeout -a 10.0.0.0/8     deaths only, with either end in a network
  katrace -o json -d 5m > events.json  five minutes, one JSON object a line
  katrace sockets                      every socket's settings, once
  katrace --stats > /dev/null          what tracing costs here

Exit codes:
  0  done, also after Ctrl-C, SIGTERM or a closed pipe
  2  the command line is wrong
  3  this host refuses: privilege, kernel, BTF or lockdown
  4  a fault in katrace itself";

const SOCKETS_HELP: &str = "\
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

/// Trace TCP keepalive probes and connections that time out, and name the process.
#[derive(Debug, Parser)]
#[command(
    name = "katrace",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = AFTER_HELP
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub trace: TraceArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Watch events as they happen (the default)
    #[command(after_help = AFTER_HELP)]
    Trace(TraceArgs),
    /// List every TCP socket with the keepalive settings that act on it
    #[command(after_help = SOCKETS_HELP)]
    Sockets(SocketsArgs),
    /// Findings about the settings of this host's sockets; exit 1 when there are any
    #[command(after_help = audit::AFTER_HELP)]
    Audit(AuditArgs),
}

#[derive(Args, Debug, Default)]
pub(super) struct TraceArgs {
    #[command(flatten)]
    pub output: OutputArgs,

    /// Kinds to print: probe, answered, stalled, timeout, reset, noticed, or all [default: all, but
    /// answered only after two or more probes]
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    pub events: Vec<String>,

    /// Stop after this time, such as 5s, 2m or 1h30m
    #[arg(short, long, value_name = "TIME", allow_hyphen_values = true)]
    pub duration: Option<String>,

    /// Stop after this many events
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true)]
    pub count: Option<String>,

    /// How to attach: auto, fentry, kprobe or tracepoint
    #[arg(long, value_name = "WAY", default_value = "auto")]
    pub attach: String,

    /// How to read who holds which descriptor: auto, iter or proc
    #[arg(long, value_name = "WAY", default_value = "auto")]
    pub scan: String,

    /// Ring buffer, such as 64k; rounded up to a power of two
    #[arg(long, value_name = "BYTES", default_value = "2M")]
    pub ring_size: String,

    /// Show the kernel half's log on stderr
    #[arg(short, long)]
    pub verbose: bool,

    /// Say on stderr what katrace itself costs, every 5 s and at the end
    #[arg(long)]
    pub stats: bool,

    #[command(flatten)]
    pub filters: FilterArgs,
}

/// How to print, in every command.
#[derive(Args, Debug, Default)]
pub(super) struct OutputArgs {
    /// How to print: table, json, jsonpretty or csv
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: String,

    /// The same as -o json: one object a line
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
}

/// Which sockets, in every command.
#[derive(Args, Debug, Default)]
pub(super) struct FilterArgs {
    /// Sockets of these processes
    #[arg(
        short,
        long,
        value_name = "PID",
        value_delimiter = ',',
        help_heading = "Filters"
    )]
    pub pid: Vec<String>,

    /// Sockets of processes with such a name, with * ? [] as in a shell
    #[arg(
        short,
        long,
        value_name = "GLOB",
        value_delimiter = ',',
        help_heading = "Filters"
    )]
    pub comm: Vec<String>,

    /// Local ports, such as 443 or 8000-8100
    #[arg(
        short = 'L',
        long,
        value_name = "LIST",
        value_delimiter = ',',
        help_heading = "Filters"
    )]
    pub lport: Vec<String>,

    /// The peer's ports
    #[arg(
        short = 'D',
        long,
        value_name = "LIST",
        value_delimiter = ',',
        help_heading = "Filters"
    )]
    pub rport: Vec<String>,

    /// Either end in this network, such as 10.0.0.0/8, or at this address
    #[arg(
        short,
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        help_heading = "Filters"
    )]
    pub addr: Vec<String>,

    /// IPv4 only, as on the wire: a v4-mapped socket counts as IPv4
    #[arg(short = '4', help_heading = "Filters")]
    pub ipv4: bool,

    /// IPv6 only
    #[arg(short = '6', help_heading = "Filters")]
    pub ipv6: bool,

    /// One network namespace: its inode number, or self
    #[arg(short = 'N', long, value_name = "INODE", help_heading = "Filters")]
    pub netns: Option<String>,

    /// Sockets made in this cgroup (version 2), such as /system.slice/nginx.service
    #[arg(long, value_name = "PATH", help_heading = "Filters")]
    pub cgroup: Option<PathBuf>,
}

#[derive(Args, Debug, Default)]
pub(super) struct SocketsArgs {
    #[command(flatten)]
    pub output: OutputArgs,

    /// Sort by state, local, peer, pid, comm, netns, idle, user-timeout (lowest first), next-probe,
    /// detect-idle, detect-data (soonest first, never last), unanswered, silence or unacked (highest
    /// first) [default: the kernel's order]
    #[arg(long, value_name = "COLUMN")]
    pub sort: Option<String>,

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

/// How to read sockets, and which.
#[derive(Args, Debug, Default)]
pub(super) struct SnapshotArgs {
    /// How to read sockets: auto, iter (a BPF iterator) or diag (sock_diag and getsockopt)
    #[arg(long, value_name = "WAY", default_value = "auto")]
    pub reader: String,

    #[command(flatten)]
    pub filters: FilterArgs,
}
