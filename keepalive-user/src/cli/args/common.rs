//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::words::OneOf,
    settings::{Format, ReaderChoice},
};

/// How to print, in every command.
#[derive(Args, Debug)]
pub(in crate::cli) struct OutputArgs {
    /// How to print: table, json, jsonpretty or csv
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        value_parser = OneOf::<Format>::new("format"),
        hide_possible_values = true
    )]
    output: Format,

    /// The same as -o json: one object a line
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl OutputArgs {
    /// The format that was asked for, by either flag.
    pub(in crate::cli) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// Which sockets, in every command.
#[derive(Args, Debug)]
pub(in crate::cli) struct FilterArgs {
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

/// How to read sockets, and which.
#[derive(Args, Debug)]
pub(in crate::cli) struct SnapshotArgs {
    /// How to read sockets: auto, iter (a BPF iterator) or diag (sock_diag and getsockopt)
    #[arg(
        long,
        value_name = "WAY",
        default_value = "auto",
        value_parser = OneOf::<ReaderChoice>::new("way"),
        hide_possible_values = true
    )]
    pub reader: ReaderChoice,

    #[command(flatten)]
    pub filters: FilterArgs,
}
