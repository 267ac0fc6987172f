//! What the tests of the resolver share: events, answers, and a resolver with what came out of it.

use super::super::*;
use crate::{
    decode::{Act, Evidence},
    enrich::{
        identity::Identity,
        messages::{Request, Stage},
        owner_cache::{Entry, actor},
        owner_rank::Before,
    },
    event::{
        Errno, Holder, Kind, OwnerFrom, Socket, Time,
        example::{self, process},
    },
};

/// An event of this socket, at this moment in seconds. Its local port tells events apart.
pub fn event(inode: u64, at: u64, mark: u16) -> Decoded {
    Decoded {
        time: Time(i128::from(at) * 1_000_000_000),
        monotonic_ns: at * 1_000_000_000,
        socket: Socket {
            lport: mark,
            ..example::socket(Some(inode))
        },
        kind: Kind::Probe {
            probe: 1,
            sent: true,
        },
        orphan: false,
        evidence: None,
        refs: 1,
        user: None,
    }
}

pub fn evidence(pid: u32) -> Option<Evidence> {
    let mut comm = [0; 16];
    comm[..6].copy_from_slice(b"kernel");
    Some(Evidence {
        pid,
        start_ns: 0,
        since_ns: 0,
        comm,
        act: Act::Connect,
    })
}

pub fn received(inode: u64, stack: [u64; 2]) -> Received {
    let mut addresses = [0; keepalive_ebpf::wire::STACK_DEPTH];
    addresses[..2].copy_from_slice(&stack);
    Received {
        time: Time(0),
        inode,
        kind: Kind::Noticed {
            errno: Errno(110),
            call: None,
            process: process(9),
            tid: 9,
            delay_ms: 0.0,
        },
        stack: addresses,
    }
}

/// The worker's answer to a question: this process holds it.
pub fn found(request: &Request, pid: Option<u32>) -> Entry {
    Entry {
        owner: pid.map(|pid| {
            Arc::new(Owner {
                process: Some(process(pid)),
                holders: vec![Holder {
                    process: process(pid),
                    fd: Some(3),
                }],
                from: Some(OwnerFrom::Scan),
            })
        }),
        before: Before {
            holders: pid
                .map(|pid| {
                    (
                        Identity {
                            pid,
                            start_ticks: 1,
                        },
                        None,
                    )
                })
                .into_iter()
                .collect(),
            at_ns: 0,
        },
        refs: 1..=request.refs,
        actor: actor(request.evidence.as_ref()),
        user: request.user,
        is_partial: false,
        stamp: request.stamp,
        looked: request.time,
    }
}

/// A resolver with what came out of it and what it asked.
pub struct Test {
    pub resolver: Resolver,
    pub now: Instant,
    /// The marks of the events that came out, with their owners' pids.
    pub out: Vec<(u16, Option<u32>)>,
    pub calls: Vec<Received>,
}

impl Test {
    pub fn new() -> Self {
        let mut test = Self::held();
        test.begin();
        test
    }

    /// Before the first pass.
    pub fn held() -> Self {
        Self {
            resolver: Resolver::new(&Filters::default()),
            now: Instant::now(),
            out: Vec::new(),
            calls: Vec::new(),
        }
    }

    pub fn with(&mut self, work: impl FnOnce(&mut Resolver, Instant, &mut dyn FnMut(Resolved))) {
        let Self {
            resolver,
            now,
            out,
            calls,
        } = self;
        work(resolver, *now, &mut |resolved| match resolved {
            Resolved::Event(event) => out.push((
                event.socket.lport,
                event.owner.process.as_ref().map(|process| process.pid),
            )),
            Resolved::Received(received) => calls.push(received),
            Resolved::Ended(_) => {}
        });
    }

    pub fn begin(&mut self) {
        self.with(|resolver, now, mut out| resolver.begin(now, &mut out));
    }

    pub fn item(&mut self, item: Item) {
        self.with(|resolver, now, mut out| resolver.take(item, now, &mut out));
    }

    pub fn event(&mut self, decoded: Decoded) {
        self.item(Item::Event(decoded));
    }

    pub fn later(&mut self, time: Duration) {
        self.now += time;
        self.with(|resolver, now, mut out| resolver.release(now, &mut out));
    }

    pub fn answer(&mut self, answers: Vec<Answer>) {
        self.with(|resolver, now, mut out| resolver.answer(answers, now, &mut out));
    }

    /// The questions about owners that were asked since the last call.
    pub fn asked(&mut self) -> Vec<Request> {
        let messages = std::mem::take(self.resolver.messages()).into_iter();
        let owners = messages.filter_map(|message| match message {
            Message::Owner(request) => Some(*request),
            Message::Changed(_) | Message::Last(_) => None,
        });
        owners.collect()
    }

    /// Answers all of them: the pid is the inode.
    pub fn answer_all(&mut self) -> usize {
        let asked = self.asked();
        let answers = asked.iter().map(|request| Answer::Owner {
            inode: request.inode,
            entry: found(request, Some(request.inode as u32)),
            stage: Stage::Done,
        });
        self.answer(answers.collect());
        asked.len()
    }

    pub fn marks(&self) -> Vec<u16> {
        self.out.iter().map(|(mark, _)| *mark).collect()
    }
}
