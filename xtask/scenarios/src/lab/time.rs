//! How long to wait. Each limit is far beyond what a busy machine needs: only what hangs reaches it.

use std::{
    env,
    time::{Duration, Instant},
};

/// Set by the guest's init: an emulated processor stretches every delay.
pub const GUEST: &str = "KATRACE_GUEST";

pub fn in_guest() -> bool {
    env::var_os(GUEST).is_some()
}

/// The last moment at which something due in `seconds` may still arrive. An emulated or busy processor stretches every
/// delay.
pub fn deadline(seconds: u64) -> Instant {
    let grace = 30;
    Instant::now() + Duration::from_secs(seconds + grace)
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
