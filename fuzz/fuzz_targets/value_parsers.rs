//! The parsers of values, without the command line around them: each text is a value in range, or refused with a
//! reason.

#![no_main]

use katrace::fuzzing::EveryValue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let values = EveryValue::of(text);
    if let Ok(ports) = &values.ports {
        assert!(
            *ports.start() > 0 && ports.start() <= ports.end(),
            "{values:?}"
        );
    }
    if let Ok(net) = &values.net {
        // The host bits are zero, and a v4-mapped network is IPv4.
        assert_eq!(net.addr(), net.network(), "{values:?}");
        assert_eq!(net.addr(), net.addr().to_canonical(), "{values:?}");
    }
    if let Ok(time) = &values.duration {
        assert!(!time.is_zero(), "{values:?}");
    }
    if let Ok(bytes) = &values.ring_size {
        assert!(bytes.is_power_of_two() && *bytes >= 4096, "{values:?}");
    }
    for number in [&values.pid, &values.netns] {
        assert_ne!(*number, Ok(0), "{values:?}");
    }
    assert_ne!(values.count, Ok(0), "{values:?}");
    for reason in [
        values.ports.err(),
        values.net.err(),
        values.duration.err(),
        values.count.err(),
        values.ring_size.err(),
    ]
    .into_iter()
    .flatten()
    {
        assert!(!reason.is_empty());
    }
});
