//! What any program could have seen. A kernel may expire timers without running what is attached to
//! its tracepoints, and then no tool on them can be right; an empty program beside katrace tells.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray},
    programs::RawTracePoint,
};

const FUNCTION: &str = "tcp_keepalive_timer";

/// The empty program, attached until this is dropped.
pub struct Control {
    _ebpf: Ebpf,
    expiries: PerCpuArray<MapData, u64>,
}

impl Control {
    pub fn attach(object: &Path) -> Result<Self> {
        let bytes = fs::read(object).with_context(|| format!("read {}", object.display()))?;
        let mut ebpf = Ebpf::load(&bytes).context("load the control")?;
        let map = ebpf.map_mut("FUNCTION").context("it has no FUNCTION")?;
        Array::try_from(map)?.set(0, address()?, 0)?;
        let program = ebpf.program_mut("control").context("it has no program")?;
        let program: &mut RawTracePoint = program.try_into()?;
        program.load()?;
        program.attach("timer_expire_entry")?;
        let expiries = ebpf.take_map("EXPIRIES").context("it has no EXPIRIES")?;
        Ok(Self {
            _ebpf: ebpf,
            expiries: expiries.try_into()?,
        })
    }

    /// Expiries of keepalive timers on the whole machine for which the kernel ran the program.
    pub fn expiries(&self) -> Result<u64> {
        Ok(self.expiries.get(&0, 0)?.iter().sum())
    }
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
