//! What the kernel says about the runs of katrace's programs.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use aya::{Ebpf, programs::Program};

/// Runs that the kernel skipped because the same program was already running on that CPU. `None`
/// before Linux 5.12, which does not count them.
pub fn skipped(ebpf: &Ebpf) -> Option<u64> {
    ebpf.programs()
        .filter_map(|(_, program)| skipped_runs(program))
        .reduce(|sum, skipped| sum + skipped)
}

/// Time and number of runs, as far as the kernel counted them (sysctl `kernel.bpf_stats_enabled`).
/// `None` if it does not tell.
pub fn spent(ebpf: &Ebpf) -> Option<(Duration, u64)> {
    ebpf.programs()
        // The programs of other backends are not loaded, and have no information.
        .filter_map(|(_, program)| program.info().ok())
        .map(|info| (info.run_time(), info.run_count()))
        .reduce(|sum, more| (sum.0 + more.0, sum.1 + more.1))
}

fn skipped_runs(program: &Program) -> Option<u64> {
    let fd = program.fd().ok()?.as_fd().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))?
        .trim()
        .parse()
        .ok()
}
