//! What any program could have seen. A kernel may expire timers without running what is attached to
//! its tracepoints, and then no tool on them can be right; an empty program beside katrace tells.

use std::{fs, path::Path};

use anyhow::{Context, Error, Result, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData, PerCpuArray},
    programs::RawTracePoint,
};

use super::{Short, btf};

const FUNCTION: &str = "tcp_keepalive_timer";
/// A reading of some microseconds, between softirqs that are milliseconds apart.
const READINGS: usize = 100;

/// The empty programs, attached until this is dropped.
pub struct Control {
    _ebpf: Ebpf,
    expiries: PerCpuArray<MapData, u64>,
    softirqs: PerCpuArray<MapData, u64>,
}

/// Timer softirqs: how often the kernel says that it worked off timers, and how often it ran the
/// program that counts that.
#[derive(Clone, Copy)]
pub struct Softirqs {
    counted: u64,
    seen: u64,
}

impl Control {
    pub fn attach(object: &Path) -> Result<Self> {
        let bytes = fs::read(object).with_context(|| format!("read {}", object.display()))?;
        let offset = u64::from(btf::member_offset("timer_list", "function")?);
        let mut ebpf = EbpfLoader::new()
            .override_global("FUNCTION_OFFSET", &offset, true)
            .load(&bytes)
            .context("load the control")?;
        let map = ebpf.map_mut("FUNCTION").context("it has no FUNCTION")?;
        Array::try_from(map)?.set(0, address()?, 0)?;
        for (name, tracepoint) in [
            ("control", "timer_expire_entry"),
            ("control_softirq", "softirq_entry"),
        ] {
            let program = ebpf.program_mut(name).context("a program is missing")?;
            let program: &mut RawTracePoint = program.try_into()?;
            program.load()?;
            program.attach(tracepoint)?;
        }
        let expiries = ebpf.take_map("EXPIRIES").context("it has no EXPIRIES")?;
        let softirqs = ebpf.take_map("SOFTIRQS").context("it has no SOFTIRQS")?;
        Ok(Self {
            _ebpf: ebpf,
            expiries: expiries.try_into()?,
            softirqs: softirqs.try_into()?,
        })
    }

    /// Expiries of keepalive timers on the whole machine for which the kernel ran the program.
    pub fn expiries(&self) -> Result<u64> {
        Ok(self.expiries.get(&0, 0)?.iter().sum())
    }

    /// Both counts at one moment.
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
    /// Softirqs of the time since, and those among them in which the kernel ran no program.
    fn since(self, base: Self) -> (u64, u64) {
        let counted = self.counted - base.counted;
        (counted, counted.saturating_sub(self.seen - base.seen))
    }
}

/// Whether a scenario that failed may have failed for what no program could see: the kernel counted
/// more in it than katrace showed, and ran no program in some timer softirq meanwhile.
pub struct Excuse<'a>(Option<(&'a Control, Softirqs)>);

impl<'a> Excuse<'a> {
    /// For what begins now; without a control there is none.
    pub fn from_now(control: Option<&'a Control>) -> Self {
        Self(control.and_then(|control| Some((control, control.softirqs().ok()?))))
    }

    /// Says so if it holds.
    pub fn holds_for(&self, scenario: &str, error: &Error) -> bool {
        let Self(Some((control, base))) = self else {
            return false;
        };
        if !error.is::<Short>() {
            return false;
        }
        let Ok(now) = control.softirqs() else {
            return false;
        };
        let (counted, hidden) = now.since(*base);
        if hidden > 0 {
            let error = format!("{error:#}");
            println!(
                "  {scenario}: {}\n  the kernel ran no program in {hidden} of {counted} timer \
                 softirqs meanwhile: {scenario} is run again",
                error.lines().next().unwrap_or_default()
            );
        }
        hidden > 0
    }
}

/// Of all CPUs, as the kernel counts them.
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
