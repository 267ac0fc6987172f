//! /proc/PID/cgroup: a process may be in a cgroup of any name.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let place = katrace::fuzzing::cgroup_place(data);
    let Some(place) = place else {
        return;
    };
    // The result must come from the file.
    let text = String::from_utf8_lossy(data);
    assert!(place.path.starts_with('/') && text.contains(&place.path));
    if let Some(container) = &place.container {
        assert!(!container.id.is_empty());
    }
    if let Some(unit) = &place.unit {
        assert!(text.contains(unit.as_str()));
    }
    if let Some(pod) = &place.pod {
        assert!(pod.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()));
    }
});
