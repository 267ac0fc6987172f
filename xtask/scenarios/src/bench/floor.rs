//! The floor as a process: loads a program that only sends, takes its records, throws them away.

use std::{
    io::{Write, stdout},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use aya::{
    Btf, Ebpf,
    maps::RingBuf,
    programs::{FEntry, KProbe},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::SignalFd,
    },
};

const FUNCTION: &str = "tcp_keepalive_timer";

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, value_name = "PATH")]
    object: PathBuf,
    /// fentry or kprobe
    #[arg(long, value_name = "WAY")]
    attach: String,
}

/// Until SIGINT; then says how many records came.
pub fn run(options: &Options) -> Result<()> {
    let object = std::fs::read(&options.object)
        .with_context(|| format!("read {}", options.object.display()))?;
    let mut ebpf = Ebpf::load(&object).context("load the floor")?;
    let name = format!("floor_{}", options.attach);
    let program = ebpf
        .program_mut(&name)
        .with_context(|| format!("the floor has no {name}"))?;
    match options.attach.as_str() {
        "fentry" => {
            let btf = Btf::from_sys_fs().context("read the kernel's BTF")?;
            let program: &mut FEntry = program.try_into()?;
            program.load(FUNCTION, &btf)?;
            program.attach()?;
        }
        "kprobe" => {
            let program: &mut KProbe = program.try_into()?;
            program.load()?;
            program.attach(FUNCTION, 0)?;
        }
        other => bail!("the floor knows fentry and kprobe, not {other}"),
    }
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGINT);
    mask.thread_block()?;
    let interrupt = SignalFd::new(&mask)?;
    let ring = ebpf.take_map("EVENTS").context("the floor has no ring")?;
    let mut ring = RingBuf::try_from(ring)?;
    let mut records = 0u64;
    loop {
        let stop = wait(&ring, &interrupt)?;
        while ring.next().is_some() {
            records += 1;
        }
        if stop {
            break;
        }
    }
    writeln!(stdout(), "{records}")?;
    Ok(())
}

/// True once it was asked to stop.
fn wait(ring: &impl AsRawFd, interrupt: &SignalFd) -> Result<bool> {
    // SAFETY: the ring outlives this call, and with it its descriptor.
    let ring = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    let mut watched = [
        PollFd::new(ring, PollFlags::POLLIN),
        PollFd::new(interrupt.as_fd(), PollFlags::POLLIN),
    ];
    poll(&mut watched, PollTimeout::NONE)?;
    Ok(watched[1].any().unwrap_or(false))
}
