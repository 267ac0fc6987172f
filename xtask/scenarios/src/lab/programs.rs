//! Which BPF programs a process holds, and which of them the kernel still has.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use aya::programs::loaded_programs;

use super::time::{deadline, wait_until};

/// The ids of the programs that a process has descriptors of. Programs of other tools are not among them.
pub fn held_by(pid: u32) -> Result<BTreeSet<u32>> {
    Ok(described(pid)?
        .iter()
        .filter_map(|text| number(text, "prog_id:"))
        .map(|id| id as u32)
        .collect())
}

/// What programs have cost since they were loaded, as far as the kernel was counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub ns: u64,
    pub runs: u64,
}

/// Of all programs that a process holds, each taken once however many descriptors it has.
pub fn cost(pid: u32) -> Result<Cost> {
    let mut seen = BTreeSet::new();
    let mut sum = Cost::default();
    for text in described(pid)? {
        if number(&text, "prog_id:").is_some_and(|id| seen.insert(id)) {
            let count =
                |name| number(&text, name).with_context(|| format!("no {name} of a program"));
            sum.ns += count("run_time_ns:")?;
            sum.runs += count("run_cnt:")?;
        }
    }
    Ok(sum)
}

/// How often the kernel skipped the programs of a process because another was running.
pub fn skipped(pid: u32) -> Result<u64> {
    Ok(described(pid)?
        .iter()
        .filter_map(|text| number(text, "recursion_misses:"))
        .sum())
}

/// What the kernel says of each descriptor that is a program.
fn described(pid: u32) -> Result<Vec<String>> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // A descriptor may close between the listing and the reading.
        let Ok(text) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        if text.contains("prog_jited:") {
            programs.push(text);
        }
    }
    Ok(programs)
}

fn number(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .trim()
        .parse()
        .ok()
}

/// Waits until none of these programs is left. The kernel drops a program some time after its last reference.
///
/// # Errors
///
/// One outlives its process, or the loaded programs cannot be listed.
pub fn are_gone(ids: &BTreeSet<u32>) -> Result<()> {
    wait_until(deadline(0), || {
        still_loaded(ids).is_ok_and(|left| left.is_empty())
    });
    let left = still_loaded(ids)?;
    ensure!(left.is_empty(), "BPF programs {left:?} outlive katrace");
    Ok(())
}

fn still_loaded(ids: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
    let mut left = BTreeSet::new();
    for program in loaded_programs() {
        let id = program.context("list the loaded BPF programs")?.id();
        if ids.contains(&id) {
            left.insert(id);
        }
    }
    Ok(left)
}
