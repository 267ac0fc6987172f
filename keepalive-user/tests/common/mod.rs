//! Records as the rest of katrace would hand them to a sink, and golden files to compare the text with.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{env, fs, path::PathBuf, process::Command, sync::Arc};

use katrace::{
    enrich::Deaths,
    event::{
        Attach, Call, Cause, Container, Details, Errno, Family, Holder, Hooks, Kind, Lost, Owner,
        OwnerFrom, Place, Process, Ready, Runtime, Settings, Socket, SocketEvent, State, Time,
    },
    settings::Format,
    sinks::{Buffers, Screen, Sink},
    summary::Summary,
};

/// 2026-11-20T22:13:20.000000001Z.
const START: i128 = 1_795_212_800_000_000_001;

pub fn time(after_ms: i128) -> Time {
    Time(START + after_ms * 1_000_000)
}

pub fn process(pid: u32, comm: &str) -> Process {
    Process {
        pid,
        comm: comm.into(),
        details: None,
    }
}

/// A process of which everything is known.
pub fn known(pid: u32, comm: &str) -> Process {
    let id = "0123456789abcdef".repeat(4);
    Process {
        details: Some(Arc::new(Details {
            ppid: 1,
            uid: 999,
            exe: Some("/usr/lib/postgresql/17/bin/postgres".into()),
            cmdline: Some("postgres: walsender".into()),
            place: Some(Place {
                path: format!("/system.slice/docker-{id}.scope"),
                container: Some(Container {
                    id,
                    runtime: Some(Runtime::Docker),
                }),
                pod: None,
                unit: None,
            }),
        })),
        ..process(pid, comm)
    }
}

pub fn owner(pid: u32, comm: &str) -> Arc<Owner> {
    Arc::new(Owner {
        process: Some(process(pid, comm)),
        holders: vec![Holder {
            process: known(pid, comm),
            fd: Some(5),
        }],
        from: Some(OwnerFrom::Connect),
    })
}

pub fn socket() -> Socket {
    Socket {
        family: Family::Ipv4,
        laddr: "10.99.0.1".parse().unwrap(),
        lport: 54321,
        raddr: "10.99.0.2".parse().unwrap(),
        rport: 5432,
        state: State::Established,
        netns: 4_026_531_840,
        inode: Some(31_337),
        settings: Settings {
            keepidle_ms: 2000,
            keepintvl_ms: 1000,
            keepcnt: 3,
            user_timeout_ms: 0,
        },
        silence_ms: Some(5104),
    }
}

pub fn event(after_ms: i128, kind: Kind) -> SocketEvent {
    SocketEvent {
        time: time(after_ms),
        socket: socket(),
        owner: owner(4242, "postgres"),
        kind,
    }
}

pub fn ipv6(mut event: SocketEvent) -> SocketEvent {
    event.socket.family = Family::Ipv6;
    event.socket.laddr = "2001:db8::1".parse().unwrap();
    event.socket.raddr = "2001:db8:0:1::2".parse().unwrap();
    event
}

pub fn timeout(cause: Cause, errno: i32, unanswered: u32, retransmits: u32) -> Kind {
    Kind::Timeout {
        cause,
        errno: Errno(errno),
        unanswered,
        retransmits,
    }
}

/// Linux numbers on the architectures the tests run on.
pub const ETIMEDOUT: i32 = 110;
pub const EHOSTUNREACH: i32 = 113;
pub const ECONNRESET: i32 = 104;

/// One event of each kind, as the document shows them.
pub fn one_of_each() -> Vec<SocketEvent> {
    vec![
        event(
            4000,
            Kind::Probe {
                probe: 3,
                sent: true,
            },
        ),
        event(
            4100,
            Kind::Answered {
                unanswered: 2,
                rtt_ms: Some(0.412_345),
            },
        ),
        event(
            4200,
            Kind::Stalled {
                unacked_bytes: 1448,
                retransmits: 3,
            },
        ),
        event(5000, timeout(Cause::Keepalive, ETIMEDOUT, 3, 0)),
        event(
            6000,
            Kind::Reset {
                errno: Errno(ECONNRESET),
                after_probe: true,
            },
        ),
        event(
            7000,
            Kind::Noticed {
                errno: Errno(ETIMEDOUT),
                call: Some(Call::Recv),
                process: process(4242, "postgres"),
                tid: 4243,
                delay_ms: 2_000.412_345,
            },
        ),
    ]
}

/// Every form of line: causes, families, owners known, unknown, many and hostile.
pub fn varied() -> Vec<SocketEvent> {
    let mut events = one_of_each();
    let mut add = |change: &dyn Fn(&mut SocketEvent), kind: Kind| {
        let mut event = event(10_000 + 100 * events.len() as i128, kind);
        change(&mut event);
        events.push(event);
    };
    let probe = |probe, sent| Kind::Probe { probe, sent };
    add(&|e| e.socket.silence_ms = None, probe(1, false));
    add(&|e| e.owner = Arc::default(), probe(1, true));
    add(
        &|e| {
            e.owner = owner(4_194_304, "\x1b[31mx\u{202e}");
            Arc::make_mut(&mut e.owner).holders.push(Holder {
                process: process(7, "a;1/b,\"c\"\n"),
                fd: None,
            });
        },
        probe(2, true),
    );
    add(
        &|e| {
            e.socket.settings.user_timeout_ms = 5000;
            let owner = Arc::make_mut(&mut e.owner);
            owner.from = Some(OwnerFrom::Last);
            owner.holders.clear();
        },
        timeout(Cause::UserTimeout, ETIMEDOUT, 4, 0),
    );
    add(
        &|e| *e = ipv6(e.clone()),
        timeout(Cause::Keepalive, ETIMEDOUT, 3, 0),
    );
    add(
        &|e| e.socket.silence_ms = Some(924_000),
        timeout(Cause::Retransmit, EHOSTUNREACH, 0, 15),
    );
    add(&|_| (), timeout(Cause::ZeroWindow, ETIMEDOUT, 6, 0));
    add(
        &|e| {
            e.socket.state = State::SynSent;
            e.socket.silence_ms = None;
        },
        timeout(Cause::Connect, ETIMEDOUT, 0, 6),
    );
    add(
        &|e| {
            e.socket.state = State::SynRecv;
            e.socket.inode = None;
        },
        timeout(Cause::Accept, ETIMEDOUT, 0, 5),
    );
    add(&|_| (), timeout(Cause::Other, 4095, 0, 0));
    add(
        &|e| e.owner = owner(1, "数据库服务器"),
        Kind::Answered {
            unanswered: 1,
            rtt_ms: None,
        },
    );
    add(
        &|_| (),
        Kind::Reset {
            errno: Errno(ECONNRESET),
            after_probe: false,
        },
    );
    events
}

pub fn ready() -> Ready {
    Ready {
        time: time(0),
        version: "0.1.0",
        kernel: "6.12.95-amd64".into(),
        attach: Attach::Kprobe,
        attach_reason: "fentry: the kernel has no BTF trampolines".into(),
        hooks: Hooks {
            keepalive: Some("kprobe:tcp_keepalive_timer".into()),
            death: Some("tp_btf:inet_sock_set_state".into()),
            reset: Some("tp_btf:tcp_receive_reset".into()),
            connect: Some("fentry:tcp_connect".into()),
            accept: Some("fexit:inet_csk_accept".into()),
            destroy: None,
            passed: Some("fentry:security_file_receive".into()),
            process: Some("tp:sched_wakeup_new".into()),
            noticed: Some("sock:sock_recv_length".into()),
            holders: Some("iter/task_file".into()),
        },
        missing: vec!["owners of sockets accepted before katrace started".into()],
    }
}

pub fn lost() -> Lost {
    Lost {
        time: time(20_000),
        count: 1234,
    }
}

pub fn summary(events: &[SocketEvent]) -> Summary {
    let mut summary = Summary::default();
    summary.skipped = Some(0);
    events.iter().for_each(|event| summary.event(event));
    summary.lost(lost().count);
    let mut deaths = Deaths::default();
    events.iter().for_each(|event| deaths.event(event));
    summary.unnoticed(&deaths, time(48_000));
    summary.duration_ms = 20_000;
    summary
}

/// A whole run through one sink: ready, events, lost, summary.
pub fn run(format: Format, screen: Screen, events: &[SocketEvent]) -> (String, String) {
    let mut sink = Sink::new(format, screen);
    let mut to = Buffers::default();
    sink.ready(&ready(), &mut to).unwrap();
    for event in events {
        sink.event(event, &mut to).unwrap();
    }
    sink.lost(&lost(), &mut to).unwrap();
    sink.summary(&summary(events), &mut to).unwrap();
    (
        String::from_utf8(to.out).unwrap(),
        String::from_utf8(to.err).unwrap(),
    )
}

/// Compares with `tests/golden/NAME`; with `KATRACE_BLESS` set, writes it instead.
pub fn golden(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if env::var_os("KATRACE_BLESS").is_some() {
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == actual,
        "tests/golden/{name} differs; if the change is meant, run the test with KATRACE_BLESS=1\n\
         --- expected\n{expected}\n--- actual\n{actual}"
    );
}

/// Runs the program: its exit code, and what it wrote to stdout and stderr.
pub fn katrace(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_katrace"))
        .args(args)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}
