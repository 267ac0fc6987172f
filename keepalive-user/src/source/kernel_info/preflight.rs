//! What is checked before anything is loaded: privileges, limits, and the length of a jiffy.

use rustix::{
    process::{Resource, Rlimit, setrlimit},
    thread::{CapabilitySet, capabilities},
    time::{ClockId, clock_getres},
};

use crate::source::error::HostError;

/// Checks the capabilities that tracing needs.
///
/// # Errors
///
/// One is missing, or they cannot be read.
pub fn privileges() -> Result<(), HostError> {
    refuse(missing_of(held()?))
}

/// Checks the capabilities that listing sockets by sock_diag needs: to read other processes'
/// descriptors and duplicate them, and to enter other network namespaces.
///
/// # Errors
///
/// One is missing, or they cannot be read.
pub fn diag_privileges(other_namespaces: bool) -> Result<(), HostError> {
    let held = held()?;
    let mut missing = missing_of(held | CapabilitySet::BPF | CapabilitySet::PERFMON);
    if other_namespaces && !held.contains(CapabilitySet::SYS_ADMIN) {
        missing.push("CAP_SYS_ADMIN");
    }
    refuse(missing)
}

fn held() -> Result<CapabilitySet, HostError> {
    Ok(capabilities(None)
        .map_err(|errno| HostError::Capabilities(errno.into()))?
        .effective)
}

fn refuse(missing: Vec<&'static str>) -> Result<(), HostError> {
    if missing.is_empty() {
        Ok(())
    } else {
        Err(HostError::Privilege(missing))
    }
}

/// Lifts RLIMIT_MEMLOCK, which maps count against before Linux 5.11. If it cannot be lifted, it may
/// still be high enough, so a failure is not reported here.
pub fn lift_memlock() {
    let _ = setrlimit(
        Resource::Memlock,
        Rlimit {
            current: None,
            maximum: None,
        },
    );
}

/// Jiffies per second. The coarse clock advances once per jiffy, so its resolution is one jiffy
/// (`KTIME_LOW_RES`, kernel/time/posix-timers.c).
pub fn hz() -> u32 {
    let tick = clock_getres(ClockId::MonotonicCoarse);
    let ns = u64::try_from(tick.tv_nsec).unwrap_or(0).max(1);
    u32::try_from((1_000_000_000 + ns / 2) / ns).unwrap_or(u32::MAX)
}

/// CAP_BPF and CAP_PERFMON load and attach programs. The other two read other users' descriptors in
/// /proc.
fn missing_of(held: CapabilitySet) -> Vec<&'static str> {
    let admin = held.contains(CapabilitySet::SYS_ADMIN);
    let dac = held.contains(CapabilitySet::DAC_OVERRIDE);
    [
        ("CAP_BPF", admin || held.contains(CapabilitySet::BPF)),
        (
            "CAP_PERFMON",
            admin || held.contains(CapabilitySet::PERFMON),
        ),
        ("CAP_SYS_PTRACE", held.contains(CapabilitySet::SYS_PTRACE)),
        (
            "CAP_DAC_READ_SEARCH",
            dac || held.contains(CapabilitySet::DAC_READ_SEARCH),
        ),
    ]
    .into_iter()
    .filter_map(|(name, held)| (!held).then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        assert_eq!(
            missing_of(CapabilitySet::empty()),
            [
                "CAP_BPF",
                "CAP_PERFMON",
                "CAP_SYS_PTRACE",
                "CAP_DAC_READ_SEARCH"
            ]
        );
        assert_eq!(
            missing_of(CapabilitySet::SYS_ADMIN | CapabilitySet::DAC_OVERRIDE),
            ["CAP_SYS_PTRACE"]
        );
        assert!(missing_of(CapabilitySet::all()).is_empty());
    }

    #[test]
    fn ticks_are_those_of_a_kernel() {
        assert!([100, 250, 300, 1000].contains(&hz()), "{} Hz", hz());
    }
}
