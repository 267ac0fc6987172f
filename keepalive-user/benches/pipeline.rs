//! What one event costs on its way through user space, room by room.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measure of what does not work is to end, loudly"
)]

use std::{
    hint::black_box,
    mem::offset_of,
    net::{Ipv6Addr, TcpListener},
    os::{fd::AsRawFd, linux::fs::MetadataExt},
    sync::Arc,
    time::Instant,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use katrace::{
    decode::{self, Clock, Decoded, Item},
    enrich::{Desk, Item as Waiting, Resolved, Resolver},
    event::SocketEvent,
    settings::{Filters, Format},
    sinks::{Buffers, Screen, Sink},
};
use keepalive_ebpf::wire::{self, RECORD_SIZE, Record};

/// Jiffies per second, as on Debian.
const HZ: u32 = 250;

/// The bytes of a first unanswered probe. Each field is set by its offset, so a new field needs no change here.
fn record(inode: u64) -> [u8; RECORD_SIZE] {
    let mut bytes = [0; RECORD_SIZE];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    put(offset_of!(Record, kind), &wire::kind::PROBE.to_ne_bytes());
    put(
        offset_of!(Record, size),
        &(RECORD_SIZE as u16).to_ne_bytes(),
    );
    put(offset_of!(Record, netns), &4_026_531_840_u32.to_ne_bytes());
    put(offset_of!(Record, time_ns), &5_u64.to_ne_bytes());
    put(offset_of!(Record, inode), &inode.to_ne_bytes());
    put(offset_of!(Record, laddr), &address("::ffff:10.99.0.1"));
    put(offset_of!(Record, raddr), &address("::ffff:10.99.0.2"));
    put(offset_of!(Record, family), &[wire::AF_INET]);
    put(offset_of!(Record, state), &[1]);
    put(offset_of!(Record, flags), &[wire::flag::SENT]);
    put(offset_of!(Record, lport), &54_321_u16.to_ne_bytes());
    put(offset_of!(Record, rport), &5432_u16.to_ne_bytes());
    put(offset_of!(Record, keepidle), &500_u32.to_ne_bytes());
    put(offset_of!(Record, keepintvl), &250_u32.to_ne_bytes());
    put(offset_of!(Record, keepcnt), &3_u32.to_ne_bytes());
    put(offset_of!(Record, silence), &1275_u32.to_ne_bytes());
    put(offset_of!(Record, unanswered), &1_u32.to_ne_bytes());
    bytes
}

fn decoded(inode: u64) -> Decoded {
    match decode::item(&record(inode), &Clock::with_offset(0), HZ) {
        Ok(Item::Event(decoded)) => decoded,
        other => panic!("{other:?}"),
    }
}

/// A socket of this process, so that its owner is found.
fn socket() -> (TcpListener, u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = format!("/proc/self/fd/{}", listener.as_raw_fd());
    let inode = std::fs::metadata(path).unwrap().st_ino();
    (listener, inode)
}

/// A resolver that knows the socket's owner, and its event.
fn enriched(inode: u64) -> (Resolver, SocketEvent) {
    let mut desk = Desk::new(None, Arc::default());
    desk.pass(&mut || ());
    let mut resolver = Resolver::new(&Filters::default());
    let mut event = None;
    let mut out = |resolved| match resolved {
        Resolved::Event(resolved) => event = Some(resolved),
        other => panic!("{other:?}"),
    };
    let now = Instant::now();
    resolver.begin(now, &mut out);
    resolver.take(Waiting::Event(decoded(inode)), now, &mut out);
    let mut answers = Vec::new();
    for message in std::mem::take(resolver.messages()) {
        desk.message(message, &mut answers);
    }
    resolver.answer(answers, now, &mut out);
    (resolver, event.unwrap())
}

fn decoding(criterion: &mut Criterion) {
    let bytes = record(77);
    let clock = Clock::with_offset(0);
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("probe", |bencher| {
        bencher.iter(|| decode::item(black_box(&bytes), &clock, HZ));
    });
    group.finish();
}

fn enriching(criterion: &mut Criterion) {
    let (_listener, inode) = socket();
    let (mut resolver, event) = enriched(inode);
    assert_eq!(
        event.owner.process.as_ref().map(|process| process.pid),
        Some(std::process::id())
    );
    let mut group = criterion.benchmark_group("enrich");
    group.throughput(Throughput::Elements(1));
    let event = decoded(inode);
    group.bench_function("known owner", |bencher| {
        bencher.iter(|| {
            let item = Waiting::Event(black_box(event.clone()));
            resolver.take(item, Instant::now(), &mut |resolved| {
                black_box(resolved);
            });
        });
    });
    group.finish();
}

fn formatting(criterion: &mut Criterion) {
    let (_listener, inode) = socket();
    let (_resolver, event) = enriched(inode);
    let mut group = criterion.benchmark_group("format");
    group.throughput(Throughput::Elements(1));
    for (name, format) in [
        ("table", Format::Table),
        ("json", Format::Json),
        ("csv", Format::Csv),
    ] {
        let mut sink = Sink::new(format, Screen::plain());
        let mut buffers = Buffers::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                buffers.out.clear();
                sink.event(black_box(&event), &mut buffers)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decoding, enriching, formatting);
criterion_main!(benches);
