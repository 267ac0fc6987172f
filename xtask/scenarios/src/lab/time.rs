//! How long to wait, and how exact a delay may be asked for.

use std::{
    env,
    time::{Duration, Instant},
};

/// Set by the guest's init: an emulated processor stretches every delay.
pub const GUEST: &str = "KATRACE_GUEST";

pub fn in_guest() -> bool {
    env::var_os(GUEST).is_some()
}

/// The last moment at which something due in `seconds` may still arrive.
pub fn deadline(seconds: u64) -> Instant {
    let grace = if in_guest() { 30 } else { 8 };
    Instant::now() + Duration::from_secs(seconds + grace)
}

/// By how much a delay of the kernel may exceed its setting.
pub fn slack_ms() -> u64 {
    if in_guest() { 3000 } else { 400 }
}

/// Asks every 20 ms until the answer is yes; false when the deadline passes.
pub fn wait_until(deadline: Instant, mut done: impl FnMut() -> bool) -> bool {
    while !done() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}
