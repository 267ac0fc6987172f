use std::net::{IpAddr, Ipv6Addr};

use keepalive_ebpf::wire::{NOTICE_SIZE, NOTICED_SIZE, RECORD_SIZE, STACK_DEPTH};
use proptest::prelude::*;

use super::{message::Wire, *};
use crate::event::{Cause, Time};

const CLOCK: Clock = Clock::with_offset(1_000_000_000);
const HZ: u32 = 250;

fn base() -> Record {
    Record {
        kind: wire::kind::PROBE,
        size: RECORD_SIZE as u16,
        netns: 4_026_531_840,
        time_ns: 5,
        inode: 77,
        owner_start_ns: 9,
        owner_since_ns: 11,
        laddr: "::ffff:10.0.0.1"
            .parse::<Ipv6Addr>()
            .unwrap()
            .octets()
            .into(),
        raddr: "::ffff:10.0.0.2"
            .parse::<Ipv6Addr>()
            .unwrap()
            .octets()
            .into(),
        owner_comm: (*b"psql\0\0\0\0\0\0\0\0\0\0\0\0").into(),
        owner_tgid: 42,
        owner_from: wire::owner_from::CONNECT,
        family: wire::AF_INET,
        state: 1,
        flags: wire::flag::SENT,
        lport: 40_000,
        rport: 5432,
        keepidle: 500,
        keepintvl: 250,
        keepcnt: 3,
        user_timeout: 0,
        silence: 1275,
        unanswered: 1,
        retransmits: 0,
        rtt_us: wire::NO_RTT,
        err: 110,
        snd_una: 100,
        snd_nxt: 100,
        write_seq: 100,
        retries2: 15,
        refs: 2,
        user_tgid: 0,
    }
}

fn base_noticed() -> Noticed {
    Noticed {
        kind: wire::kind::NOTICED,
        size: NOTICED_SIZE as u16,
        tgid: 50,
        time_ns: 2_500_000,
        died_ns: 1_000_000,
        inode: 77,
        comm: (*b"reader\0\0\0\0\0\0\0\0\0\0").into(),
        tid: 51,
        err: 110,
        call: wire::call::GETSOCKOPT,
        reserved: [0; 7],
        stack: [0; STACK_DEPTH],
    }
}

fn base_notice() -> wire::Notice {
    wire::Notice {
        kind: wire::kind::FORKED,
        size: NOTICE_SIZE as u16,
        tgid: 60,
        parent: 59,
        reserved: 0,
        inode: 0,
    }
}

fn bytes<T: Wire>(record: &T) -> Vec<u8> {
    let at = std::ptr::from_ref(record).cast::<u8>();
    // SAFETY: a record is integers without padding, so all its bytes are initialised.
    unsafe { std::slice::from_raw_parts(at, size_of::<T>()) }.to_vec()
}

fn item<T: Wire>(record: &T) -> Result<Item, DecodeError> {
    super::item(&bytes(record), &CLOCK, HZ)
}

fn decode<T: Wire>(record: &T) -> Result<Decoded, DecodeError> {
    match item(record)? {
        Item::Event(decoded) => Ok(decoded),
        other => panic!("{other:?}"),
    }
}

fn timeout(change: impl FnOnce(&mut Record)) -> Cause {
    let mut record = Record {
        kind: wire::kind::TIMEOUT,
        ..base()
    };
    change(&mut record);
    match decode(&record).unwrap().kind {
        Kind::Timeout { cause, .. } => cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_probe_in_the_units_of_people() {
    let decoded = decode(&base()).unwrap();
    assert_eq!(decoded.time, Time(1_000_000_005));
    assert_eq!(
        decoded.kind,
        Kind::Probe {
            probe: 1,
            sent: true
        }
    );
    assert_eq!(decoded.socket.laddr, "10.0.0.1".parse::<IpAddr>().unwrap());
    assert_eq!(decoded.socket.settings.keepidle_ms, 2000);
    assert_eq!(decoded.socket.silence_ms, Some(5100));
    assert_eq!(decoded.evidence.unwrap().act, Act::Connect);
}

#[test]
fn causes_follow_the_sequence_numbers() {
    assert_eq!(timeout(|r| r.unanswered = 3), Cause::Keepalive);
    assert_eq!(timeout(|r| r.user_timeout = 5000), Cause::UserTimeout);
    assert_eq!(timeout(|r| r.unanswered = 0), Cause::Other);
    assert_eq!(timeout(|r| r.snd_una = 99), Cause::Retransmit);
    // In flight across the wrap of the sequence space.
    assert_eq!(
        timeout(|r| (r.snd_una, r.snd_nxt) = (u32::MAX, 4)),
        Cause::Retransmit
    );
    assert_eq!(
        timeout(|r| (r.snd_una, r.user_timeout) = (99, 1)),
        Cause::UserTimeout
    );
    assert_eq!(timeout(|r| r.write_seq = 101), Cause::ZeroWindow);
    assert_eq!(
        timeout(|r| (r.write_seq, r.user_timeout) = (101, 1)),
        Cause::UserTimeout
    );
    assert_eq!(
        timeout(|r| (r.write_seq, r.user_timeout, r.unanswered) = (101, 1, 15)),
        Cause::ZeroWindow
    );
    assert_eq!(timeout(|r| r.state = 2), Cause::Connect);
    assert_eq!(timeout(|r| r.state = 3), Cause::Accept);
}

#[test]
fn a_reset_carries_what_the_kernel_will_set() {
    let errno = |state| match decode(&Record {
        kind: wire::kind::RESET,
        state,
        ..base()
    })
    .unwrap()
    .kind
    {
        Kind::Reset { errno, after_probe } => (errno.0, after_probe),
        other => panic!("{other:?}"),
    };
    assert_eq!(errno(1), (Os::CONNRESET.raw_os_error(), true));
    assert_eq!(errno(2), (Os::CONNREFUSED.raw_os_error(), true));
    assert_eq!(errno(8), (Os::PIPE.raw_os_error(), true));
}

#[test]
fn a_connecting_socket_has_heard_nobody() {
    let decoded = decode(&Record {
        state: 2,
        silence: 12,
        ..base()
    })
    .unwrap();
    assert_eq!(decoded.socket.silence_ms, None);
    let decoded = decode(&Record {
        silence: wire::NEVER,
        ..base()
    })
    .unwrap();
    assert_eq!(decoded.socket.silence_ms, None);
}

#[test]
fn hostile_bytes_are_refused_by_name() {
    let whole = bytes(&base());
    let decode = |bytes: &[u8]| super::item(bytes, &CLOCK, HZ);
    assert_eq!(decode(&[]), Err(DecodeError::Length(0)));
    assert_eq!(decode(&whole[..1]), Err(DecodeError::Length(1)));
    assert_eq!(
        decode(&whole[..RECORD_SIZE - 1]),
        Err(DecodeError::Length(RECORD_SIZE - 1))
    );
    let mut long = whole.clone();
    long.push(0);
    assert_eq!(decode(&long), Err(DecodeError::Length(RECORD_SIZE + 1)));
    // One byte off its alignment: still read, since the ring promises only eight.
    let shifted = [&[0u8][..], &whole].concat();
    assert!(decode(&shifted[1..]).is_ok());

    let refused = |record: Record| self::decode(&record).unwrap_err();
    assert_eq!(refused(Record { kind: 0, ..base() }), DecodeError::Kind(0));
    assert_eq!(
        refused(Record { kind: 11, ..base() }),
        DecodeError::Kind(11)
    );
    // A kind of another type, which has another length.
    let forked = Record { kind: 7, ..base() };
    assert_eq!(refused(forked), DecodeError::Length(RECORD_SIZE));
    assert_eq!(refused(Record { size: 8, ..base() }), DecodeError::Size(8));
    assert_eq!(
        refused(Record {
            family: 1,
            ..base()
        }),
        DecodeError::Family(1)
    );
    assert_eq!(
        refused(Record { state: 0, ..base() }),
        DecodeError::State(0)
    );
    assert_eq!(
        refused(Record {
            state: 13,
            ..base()
        }),
        DecodeError::State(13)
    );
    assert_eq!(
        refused(Record {
            owner_from: 5,
            ..base()
        }),
        DecodeError::Evidence(5)
    );
    assert_eq!(
        refused(Record {
            kind: wire::kind::ANSWERED,
            unanswered: 0,
            ..base()
        }),
        DecodeError::NoProbe
    );
}

#[test]
fn an_error_received_names_the_receiver_and_the_delay() {
    let Ok(Item::Received(received)) = item(&base_noticed()) else {
        panic!("no error received")
    };
    assert_eq!(received.inode, 77);
    let Kind::Noticed {
        errno,
        call,
        process,
        tid,
        delay_ms,
    } = received.kind
    else {
        panic!("{:?}", received.kind)
    };
    assert_eq!((errno.0, call), (110, Some(Call::Getsockopt)));
    assert_eq!((process.pid, &*process.comm, tid), (50, "reader", 51));
    assert!((delay_ms - 1.5).abs() < 1e-9);

    let call = item(&Noticed {
        call: 9,
        ..base_noticed()
    });
    assert_eq!(call, Err(DecodeError::Call(9)));
    let short = item(&Noticed {
        size: 8,
        ..base_noticed()
    });
    assert_eq!(short, Err(DecodeError::Size(8)));
    // Dead later than noticed: clocks do not run backwards, but bytes may.
    let early = item(&Noticed {
        died_ns: u64::MAX,
        ..base_noticed()
    });
    assert!(early.is_ok());
}

#[test]
fn notices_of_every_kind() {
    let notice = |kind| {
        item(&wire::Notice {
            kind,
            inode: 77,
            ..base_notice()
        })
    };
    let expected = [
        (
            wire::kind::FORKED,
            Notice::Forked {
                parent: 59,
                child: 60,
            },
        ),
        (wire::kind::RENAMED, Notice::Renamed { pid: 60 }),
        (wire::kind::EXITED, Notice::Exited { pid: 60 }),
        (wire::kind::ENDED, Notice::Ended { inode: 77 }),
    ];
    for (kind, expected) in expected {
        assert_eq!(notice(kind), Ok(Item::Notice(expected)));
    }
    assert_eq!(notice(11), Err(DecodeError::Kind(11)));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2 * RECORD_SIZE), hz: u32) {
        let _ = super::item(&bytes, &CLOCK, hz);
    }

    #[test]
    fn no_record_panics(
        bytes in proptest::collection::vec(any::<u8>(), RECORD_SIZE..=RECORD_SIZE),
        size in prop_oneof![Just(RECORD_SIZE), Just(NOTICED_SIZE), Just(NOTICE_SIZE)],
        kind in 0u16..12,
        hz in prop_oneof![Just(0u32), Just(250), any::<u32>()],
    ) {
        let mut bytes = bytes;
        bytes.truncate(size);
        bytes[0..2].copy_from_slice(&kind.to_ne_bytes());
        bytes[2..4].copy_from_slice(&(size as u16).to_ne_bytes());
        if let Ok(Item::Event(decoded)) = super::item(&bytes, &CLOCK, hz)
            && let Kind::Answered { unanswered, .. } = decoded.kind
        {
            prop_assert!(unanswered > 0);
        }
    }
}
