//! The command line: the text of the help, what arguments mean, and refusals in one line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

mod common;

use std::{process::Command, time::Duration};

use katrace::{
    cli::{self, Request, UsageError},
    event::{Attach, EventKind, Family},
    settings::{
        AttachChoice, Events, Format, ReaderChoice, SocketsSettings, SortBy, TraceSettings,
    },
};

fn parse(line: &str) -> Result<Request, UsageError> {
    cli::parse(std::iter::once("katrace").chain(line.split_whitespace()))
}

fn settings(line: &str) -> TraceSettings {
    match parse(line) {
        Ok(Request::Trace(settings)) => *settings,
        other => panic!("{line}: {other:?}"),
    }
}

fn refusal(line: &str) -> String {
    parse(line).unwrap_err().to_string()
}

#[test]
fn help_reads_as_kept() {
    let help = |mut command: clap::Command| command.render_help().to_string();
    golden_help("help.txt", &help(cli::command().term_width(100)));
    let mut command = cli::command().term_width(100);
    command.build();
    let sockets = command.find_subcommand("sockets").unwrap().clone();
    golden_help("help.sockets.txt", &help(sockets.term_width(100)));
    for flag in ["--help", "-h", "trace --help", "--version", "-V"] {
        assert!(matches!(parse(flag), Ok(Request::Print(_))), "{flag}");
    }
    let Ok(Request::Print(version)) = parse("--version") else {
        panic!("--version does not print");
    };
    assert_eq!(version, format!("katrace {}\n", env!("CARGO_PKG_VERSION")));
}

fn golden_help(name: &str, text: &str) {
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    common::golden(name, &text);
}

#[test]
fn bare_katrace_is_a_trace_of_everything() {
    for line in ["", "trace"] {
        let all = settings(line);
        assert_eq!(all.output, Format::Table);
        assert_eq!(all.events, Events::default());
        assert_eq!((all.duration, all.count), (None, None));
        assert_eq!(all.attach, AttachChoice::Auto);
        assert_eq!((all.verbose, all.ring_bytes), (false, 2 << 20));
        let none = all.filters;
        assert!(none.pids.is_empty() && none.lports.is_empty() && none.rports.is_empty());
        assert!(none.nets.is_empty() && none.comms.is_none() && none.family.is_none());
        assert!(none.netns.is_none() && none.cgroup.is_none());
    }
}

#[test]
fn every_flag_is_understood() {
    let me = std::process::id();
    let all = settings(&format!(
        "trace --json -p {me},1 -c nginx*,postgres -c redis -L 443,8000-8100 -D 5432 -D 1-9 \
         -a 10.0.0.1/8,::1 -4 -N self -e timeout,reset -d 1h30m -n 5 --attach tracepoint -v \
         --ring-size 64k"
    ));
    assert_eq!(all.output, Format::Json);
    assert_eq!(all.filters.pids, [me, 1]);
    let comms = all.filters.comms.unwrap();
    assert!(comms.is_match("nginx: worker") && comms.is_match("redis"));
    assert!(!comms.is_match("postgres2") && !comms.is_match("xnginx"));
    assert_eq!(all.filters.lports, [443..=443, 8000..=8100]);
    assert_eq!(all.filters.rports, [5432..=5432, 1..=9]);
    let nets: Vec<String> = all.filters.nets.iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(all.filters.family, Some(Family::Ipv4));
    assert!(all.filters.netns.is_some());
    assert_eq!(
        all.events,
        Events::NONE.with(EventKind::Timeout).with(EventKind::Reset)
    );
    assert_eq!(all.duration, Some(Duration::from_secs(5400)));
    assert_eq!(all.count, Some(5));
    assert_eq!(all.attach, AttachChoice::Only(Attach::Tracepoint));
    assert!(all.verbose);
    assert_eq!(all.ring_bytes, 65536);
}

fn sockets(line: &str) -> SocketsSettings {
    match parse(line) {
        Ok(Request::Sockets(settings)) => *settings,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_listing_has_filters_of_its_own_and_shared_ones() {
    let bare = sockets("sockets");
    assert_eq!(
        (bare.output, bare.sort, bare.watch),
        (Format::Table, None, None)
    );
    assert_eq!((bare.dying, bare.no_keepalive), (false, false));
    assert_eq!(bare.read.reader, ReaderChoice::Auto);
    assert!(bare.read.filters.netns.is_none() && bare.read.filters.pids.is_empty());
    let all = sockets(
        "sockets --json --dying --no-keepalive --sort silence --watch 2s --reader diag -N self \
         -L 443 -D 1-9 -a ::1 -6 -c nginx*",
    );
    assert_eq!(all.output, Format::Json);
    assert!(all.dying && all.no_keepalive);
    assert_eq!(all.sort, Some(SortBy::Silence));
    assert_eq!(all.watch, Some(Duration::from_secs(2)));
    assert_eq!(all.read.reader, ReaderChoice::Diag);
    let filters = all.read.filters;
    assert_eq!(
        (filters.lports, filters.rports),
        (vec![443..=443], vec![1..=9])
    );
    assert_eq!(filters.family, Some(Family::Ipv6));
    assert!(filters.netns.is_some() && filters.comms.is_some());
}

/// Every argument that takes one word out of a set says in its help which words it takes, but for
/// those that say which option lists them.
#[test]
fn the_help_of_an_argument_names_every_word_that_it_takes() {
    let mut sets = 0;
    let command = cli::command();
    let audit = command.find_subcommand("audit").unwrap();
    let sockets = command.find_subcommand("sockets").unwrap();
    for command in [&command, audit, sockets] {
        for arg in command.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            // Flags without a value have the words "true" and "false".
            if help.contains("--rules lists") || !arg.get_action().takes_values() {
                continue;
            }
            let words = arg.get_possible_values();
            sets += usize::from(!words.is_empty());
            for word in words {
                let named = help
                    .split([' ', ',', '\n'])
                    .any(|one| one == word.get_name());
                assert!(named, "{}: {}", arg.get_id(), word.get_name());
            }
        }
    }
    assert_eq!(sets, 10);
}

#[test]
fn both_families_are_no_filter_and_asking_for_answers_shows_them_all() {
    assert_eq!(settings("-4 -6").filters.family, None);
    assert_eq!(settings("-6").filters.family, Some(Family::Ipv6));
    assert_eq!(settings("-e all").events, Events::ALL);
    assert_eq!(settings("-e answered").events.answered_min, 1);
    assert_eq!(settings("-e probe,all").events, Events::ALL);
    assert_eq!(settings("-o jsonpretty").output, Format::JsonPretty);
    for kind in EventKind::ALL {
        let asked = settings(&format!("-e {}", kind.name())).events;
        assert_eq!(asked, Events::NONE.with(*kind));
    }
}

#[test]
fn every_refusal_is_one_line_that_names_it() {
    let lines = [
        "-o xml",
        "--attach uprobe",
        "-e probes",
        "--scan netlink",
        "-e lost",
        "-e probe,,reset",
        "-p 0",
        "-p init",
        "-p 4194305",
        "-c [",
        "-L 70000",
        "-D 0",
        "-D 9-1",
        "-a 10.0.0.0/33",
        "-a localhost",
        "-N here",
        "--cgroup /no/such/cgroup",
        "--cgroup /proc/self",
        "-d 5",
        "-d 0s",
        "-n 0",
        "-n -1",
        "--ring-size 8T",
        "--json -o csv",
        "--jsno",
        "-p",
        "sockets --sort name",
        "sockets --reader proc",
        "sockets --watch 2",
        "sockets -N 1",
        "sockets -e probe",
        "sockets -L 70000",
        "-p 1 trace",
        "-a \x1b[31m",
    ];
    let mut report = String::new();
    for line in lines {
        let refusal = refusal(line);
        assert!(
            !refusal.contains(|c: char| c.is_control()),
            "{line}: {refusal:?}"
        );
        report += &format!("$ katrace {}\nkatrace: {refusal}\n", line.escape_debug());
    }
    common::golden("refusals.txt", &report);
}

#[test]
fn a_thread_is_not_taken_for_a_process() {
    std::thread::spawn(|| {
        let thread = std::fs::read_link("/proc/thread-self").unwrap();
        let thread = thread.file_name().unwrap().to_string_lossy().into_owned();
        let process = std::process::id();
        assert!(refusal(&format!("-p {thread}")).ends_with(&format!("give -p {process}")));
    })
    .join()
    .unwrap();
}

#[test]
fn the_program_prints_help_to_stdout_and_refusals_to_stderr() {
    let (code, out, err) = common::katrace(&["--help"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("Exit codes:"), "{out}");

    let (code, out, err) = common::katrace(&["-L", "70000"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with("katrace: -L 70000: "), "{err}");
}

#[test]
fn help_into_a_closed_pipe_is_no_fault() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_katrace"))
        .arg("--help")
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

/// A file of a time zone that is never read to its end must not make a signal go unheard.
#[test]
fn a_signal_ends_it_while_the_time_zone_is_being_read() {
    use std::os::unix::process::ExitStatusExt;

    let path = std::env::temp_dir().join(format!("katrace-zone-{}", std::process::id()));
    let run = |command: &mut Command| assert!(command.status().unwrap().success());
    run(Command::new("mkfifo").arg(&path));
    let mut tracer = Command::new(env!("CARGO_BIN_EXE_katrace"))
        .env("TZ", format!(":{}", path.display()))
        .spawn()
        .unwrap();
    // It opens once there is a reader.
    let _zone = std::fs::File::options().write(true).open(&path).unwrap();
    run(Command::new("kill").arg(tracer.id().to_string()));
    let mut looks = 0;
    let status = loop {
        if let Some(status) = tracer.try_wait().unwrap() {
            break Some(status);
        }
        if looks == 600 {
            tracer.kill().unwrap();
            break None;
        }
        looks += 1;
        std::thread::sleep(Duration::from_millis(100));
    };
    std::fs::remove_file(&path).unwrap();
    assert_eq!(status.and_then(|status| status.signal()), Some(15));
}
