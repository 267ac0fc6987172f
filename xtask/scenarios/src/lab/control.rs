//! The loader of the control: programs beside katrace that count what any program could have seen.
//!
//! On some kernels there are softirqs in which no BPF program runs (docs/limitations.md). No tool on tracepoints can
//! see what happens in them. So with tracepoints katrace's counts are compared with the control's, and with the other
//! backends they are compared with the kernel's own.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf,
    maps::{Array, MapData, MapError, PerCpuArray, PerCpuHashMap},
    programs::RawTracePoint,
};

use super::{Counters, btf::Btf};

const FUNCTION: &str = "tcp_keepalive_timer";
const PROGRAMS: [(&str, &str); 4] = [
    ("control_entry", "timer_expire_entry"),
    ("control_exit", "timer_expire_exit"),
    ("control_state", "inet_sock_set_state"),
    ("control_softirq", "softirq_entry"),
];
/// How often a reading is tried, until no softirq comes in between. A reading takes some microseconds, and softirqs are
/// milliseconds apart.
const READINGS: usize = 100;

/// The control's programs, attached until this is dropped.
pub struct Control {
    _ebpf: Ebpf,
    /// Probes and deaths, by the inode number of the network namespace.
    seen: PerCpuHashMap<MapData, u32, [u64; 2]>,
    softirqs: PerCpuArray<MapData, u64>,
}

/// Timer softirqs of the whole machine.
#[derive(Clone, Copy, Debug)]
pub struct Softirqs {
    /// By the kernel's own count.
    counted: u64,
    /// Those in which the kernel ran the control.
    seen: u64,
}

impl Control {
    /// # Errors
    ///
    /// The kernel refuses the programs, or BTF or kallsyms lack what they need.
    pub fn attach(object: &Path) -> Result<Self> {
        let bytes = fs::read(object).with_context(|| format!("read {}", object.display()))?;
        let mut ebpf = Ebpf::load(&bytes).context("load the control")?;
        let map = ebpf.map_mut("FUNCTION").context("it has no FUNCTION")?;
        Array::try_from(map)?.set(0, address()?, 0)?;
        let map = ebpf.map_mut("PLACES").context("it has no PLACES")?;
        let mut map = Array::try_from(map)?;
        for (index, place) in (0..).zip(places()?) {
            map.set(index, place, 0)?;
        }
        for (name, tracepoint) in PROGRAMS {
            let program = ebpf.program_mut(name);
            let program = program.with_context(|| format!("it has no program {name}"))?;
            let program: &mut RawTracePoint = program.try_into()?;
            program.load().with_context(|| format!("load {name}"))?;
            program
                .attach(tracepoint)
                .with_context(|| format!("attach {name}"))?;
        }
        let seen = ebpf.take_map("SEEN").context("it has no SEEN")?;
        let softirqs = ebpf.take_map("SOFTIRQS").context("it has no SOFTIRQS")?;
        Ok(Self {
            _ebpf: ebpf,
            seen: seen.try_into()?,
            softirqs: softirqs.try_into()?,
        })
    }

    /// What was visible in a network namespace since the control was attached. An inode number may have belonged to
    /// an earlier namespace: only differences mean something.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    pub fn visible(&self, netns: u64) -> Result<Counters> {
        let by_cpu = match self.seen.get(&u32::try_from(netns)?, 0) {
            Ok(by_cpu) => by_cpu,
            Err(MapError::KeyNotFound) => return Ok(Counters::default()),
            Err(error) => return Err(error.into()),
        };
        let mut sum = Counters::default();
        for [probes, deaths] in by_cpu.iter() {
            sum.keepalive += probes;
            sum.aborts += deaths;
        }
        Ok(sum)
    }

    /// Both counts at one moment.
    ///
    /// # Errors
    ///
    /// /proc/softirqs or the map cannot be read, or no moment without a softirq was found.
    pub fn softirqs(&self) -> Result<Softirqs> {
        let seen = || -> Result<u64> { Ok(self.softirqs.get(&0, 0)?.iter().sum()) };
        for _ in 0..READINGS {
            let before = seen()?;
            let counted = timer_softirqs()?;
            if seen()? == before {
                return Ok(Softirqs {
                    counted,
                    seen: before,
                });
            }
        }
        bail!("timer softirqs come faster than they can be counted");
    }
}

impl Softirqs {
    pub fn counted_since(self, base: Self) -> u64 {
        self.counted - base.counted
    }

    /// How many the kernel worked off since `base` without running the control.
    pub fn hidden_since(self, base: Self) -> u64 {
        let seen = self.seen - base.seen;
        self.counted_since(base).saturating_sub(seen)
    }
}

/// Offsets of structure members, in the order of `place` in keepalive-ebpf/src/bin/control.rs.
fn places() -> Result<[u64; 6]> {
    let btf = Btf::of_this_kernel()?;
    let offset = |of: &str, member: &str| -> Result<u64> {
        let offset = btf.offset(of, member)?;
        offset.with_context(|| format!("this kernel's struct {of} has no {member}"))
    };
    let own_timer = btf.offset("inet_connection_sock", "icsk_keepalive_timer")?;
    let timer = own_timer.map_or_else(|| offset("sock", "sk_timer"), Ok)?;
    Ok([
        offset("timer_list", "function")?,
        timer,
        offset("sock_common", "skc_net")?,
        offset("sock", "sk_err")?,
        offset("tcp_sock", "segs_out")?,
        offset("net", "ns")? + offset("ns_common", "inum")?,
    ])
}

/// Timer softirqs of all CPUs, as the kernel counts them.
fn timer_softirqs() -> Result<u64> {
    let path = "/proc/softirqs";
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let row = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("TIMER:"));
    let row = row.with_context(|| format!("no timers in {path}"))?;
    row.split_whitespace()
        .map(|count| {
            count
                .parse::<u64>()
                .with_context(|| format!("{count} in {path}"))
        })
        .sum()
}

fn address() -> Result<u64> {
    let symbols = fs::read_to_string("/proc/kallsyms").context("read /proc/kallsyms")?;
    let line = symbols
        .lines()
        .find(|line| line.split_whitespace().nth(2) == Some(FUNCTION))
        .with_context(|| format!("the kernel names no {FUNCTION}"))?;
    let address = line.split_whitespace().next().unwrap_or_default();
    u64::from_str_radix(address, 16).with_context(|| format!("no address: {line}"))
}
