//! A host under audit, made of rows.

use std::sync::Arc;

use crate::{
    audit::{Finding, Hop, HostFacts, Program, Resets, Rule, Verdict, Wanted, Yardstick, judge},
    event::{Family, Holder, Owner, OwnerFrom, Process, State},
    snapshot::{Namespace, Origin, Row, Setting, Snapshot},
};

pub const OWN: u32 = 1;
pub const POD: u32 = 2;

/// One host under audit.
pub struct Case {
    pub snapshot: Snapshot,
    pub host: HostFacts,
    pub yardstick: Yardstick,
}

pub fn set<T>(value: T, from: Origin) -> Option<Setting<T>> {
    Some(Setting { value, from })
}

/// An idle connection of `app`, pid 100, to a database, that no rule has anything against.
pub fn healthy() -> Row {
    let process = Process {
        pid: 100,
        comm: "app".into(),
        details: None,
    };
    Row {
        family: Family::Ipv4,
        laddr: [10, 0, 0, 1].into(),
        lport: 40_000,
        raddr: [10, 0, 0, 2].into(),
        rport: 5432,
        state: State::Established,
        netns: OWN,
        inode: Some(7),
        owner: Arc::new(Owner {
            process: Some(process.clone()),
            holders: vec![Holder {
                process,
                fd: Some(3),
            }],
            from: Some(OwnerFrom::Scan),
        }),
        keepalive: Some(true),
        keepidle_ms: set(60_000, Origin::Socket),
        keepintvl_ms: set(10_000, Origin::Socket),
        keepcnt: set(3, Origin::Socket),
        user_timeout_ms: set(90_000, Origin::Socket),
        next_probe_ms: Some(30_000),
        unanswered: 0,
        silence_ms: Some(30_000),
        unacked_bytes: 0,
        rto_ms: 204,
        detect_idle_ms: Some(90_000),
        detect_data_ms: Some(90_000),
    }
}

/// The same without keepalive and TCP_USER_TIMEOUT, its peer silent for an hour.
pub fn bare() -> Row {
    Row {
        keepalive: Some(false),
        user_timeout_ms: set(0, Origin::Default),
        next_probe_ms: None,
        silence_ms: Some(3_600_000),
        detect_idle_ms: None,
        detect_data_ms: Some(102_200),
        ..healthy()
    }
}

pub fn listener() -> Row {
    Row {
        laddr: [0, 0, 0, 0].into(),
        lport: 8080,
        raddr: [0, 0, 0, 0].into(),
        rport: 0,
        state: State::Listen,
        next_probe_ms: None,
        silence_ms: None,
        detect_idle_ms: None,
        detect_data_ms: None,
        ..bare()
    }
}

/// A connection that the listener handed out.
pub fn accepted(keepalive: bool) -> Row {
    Row {
        keepalive: Some(keepalive),
        lport: 8080,
        rport: 50_000,
        silence_ms: Some(1000),
        ..bare()
    }
}

pub fn of(comm: &str, pid: u32) -> Arc<Owner> {
    Arc::new(Owner {
        process: Some(Process {
            details: None,
            pid,
            comm: comm.into(),
        }),
        ..Owner::default()
    })
}

pub fn netns(netns: u32, keepidle_ms: u64) -> Namespace {
    Namespace {
        netns,
        keepidle_ms,
        keepintvl_ms: 75_000,
        keepcnt: 9,
        retries2: 15,
        own: netns == OWN,
    }
}

/// A pod's connection that takes its times from the sysctls of its namespace.
pub fn in_pod() -> Row {
    Row {
        netns: POD,
        keepidle_ms: set(7_200_000, Origin::Default),
        keepintvl_ms: set(75_000, Origin::Default),
        keepcnt: set(9, Origin::Default),
        user_timeout_ms: set(0, Origin::Default),
        detect_idle_ms: Some(7_875_000),
        detect_data_ms: Some(102_200),
        ..healthy()
    }
}

pub fn l7() -> Hop {
    Hop {
        probe_resets: Resets::No,
        ..Hop::of_timeout("proxy", 45_000)
    }
}

impl Case {
    pub fn of(rows: Vec<Row>) -> Self {
        Self {
            snapshot: Snapshot {
                rows,
                namespaces: vec![netns(OWN, 7_200_000), netns(POD, 7_200_000)],
            },
            host: HostFacts {
                own: Some(netns(OWN, 7_200_000)),
                ..HostFacts::default()
            },
            yardstick: Yardstick {
                wanted: Wanted::default(),
                idle_ms: 300_000,
            },
        }
    }

    pub fn path(mut self, hop: Hop) -> Self {
        self.yardstick.wanted.hops.push(hop);
        self
    }

    pub fn within(mut self, ms: u64) -> Self {
        self.yardstick.wanted.detect_within_ms = Some(ms);
        self
    }

    pub fn tuned_host(mut self) -> Self {
        self.host.own = Some(netns(OWN, 60_000));
        self
    }

    pub fn tuned_pod(mut self) -> Self {
        self.snapshot.namespaces[1] = netns(POD, 60_000);
        self
    }

    pub fn live(mut self, name: &str, in_netns: u32, ms: u64) -> Self {
        self.host.live.insert((name.to_owned(), in_netns), ms);
        self
    }

    pub fn verdict(&self) -> Verdict {
        let target = self.yardstick.wanted.plan_or_usual().unwrap();
        let program = |process: &Process| Program {
            comm: process.comm.to_string(),
            ..Program::default()
        };
        judge(
            &self.snapshot,
            &self.host,
            &self.yardstick,
            target,
            &Rule::ALL,
            program,
        )
    }

    pub fn rules(&self) -> Vec<Rule> {
        self.verdict().findings.iter().map(|one| one.rule).collect()
    }

    pub fn only(&self) -> Finding {
        let mut findings = self.verdict().findings;
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings.remove(0)
    }
}

pub fn row(row: Row) -> Case {
    Case::of(vec![row])
}

pub fn nlb() -> Hop {
    Hop::of_timeout("aws-nlb", 350_000)
}

pub fn every_second() -> Row {
    Row {
        keepidle_ms: set(1000, Origin::Socket),
        user_timeout_ms: set(31_000, Origin::Socket),
        next_probe_ms: Some(500),
        silence_ms: Some(500),
        ..healthy()
    }
}
