//! A thousand processes with a hundred sockets each, all older than katrace.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek},
    os::unix::fs::FileExt,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{Signal, kill},
    },
    unistd::Pid,
};
use serde::Deserialize;

use crate::lab::{
    Counters, Katrace,
    account::{Counts, Due},
    many::{Many, PORT, PROCESSES, SOCKETS},
    output,
    time::{deadline, wait_until},
};

/// Room for every probe, so that the result does not depend on the machine's speed.
const RING: &str = "67108864";

/// Nothing written for so long: nothing more comes.
const QUIET: Duration = Duration::from_secs(10);

/// The fields of a line that are compared; the rest is not kept, because there are a hundred thousand lines.
#[derive(Deserialize)]
struct Line<'a> {
    event: &'a str,
    pid: Option<u32>,
    comm: Option<&'a str>,
    #[serde(default)]
    owners: Vec<Holder>,
    owner_from: Option<&'a str>,
    lport: Option<u16>,
    rport: Option<u16>,
}

#[derive(Deserialize)]
struct Holder {
    pid: u32,
    fd: Option<u32>,
}

pub fn all_attributed(katrace: &Katrace, many: &mut Many) -> Result<()> {
    let all = SOCKETS * usize::from(PROCESSES);
    let mut lines = File::from(memfd_create("events", MFdFlags::MFD_CLOEXEC)?);
    let began = Instant::now();
    let due = each_probes_once(katrace, many, &lines, all)?;
    let took = began.elapsed();
    lines.rewind()?;
    let mut text = String::new();
    lines.read_to_string(&mut text)?;
    let shown = each_by_its_process(&text, &many.pids)?;
    let hidden = due.judge(Counters {
        keepalive: shown as u64,
        aborts: 0,
    })?;
    println!(
        "  {shown} of {all} sockets of {PROCESSES} processes, all attributed after {:.1} s; the kernel ran no program \
         for {hidden}",
        took.as_secs_f32()
    );
    Ok(())
}

/// Runs katrace with `lines` as its stdout until the kernel has counted a probe of each socket.
fn each_probes_once(katrace: &Katrace, many: &mut Many, lines: &File, all: usize) -> Result<Due> {
    let control = katrace.control.as_deref();
    let netns = many.pair.ours.inode.to_string();
    let args = ["-o", "json", "-N", &netns, "-e", "probe"];
    let mut child = katrace
        .command(args)
        .args(["--ring-size", RING])
        .stdout(lines.try_clone()?)
        .stderr(Stdio::piped())
        .spawn()?;
    let complaints = output::read_all(child.stderr.take());
    let began = Instant::now();
    let ready = wait_until(deadline(10), || {
        lines.metadata().is_ok_and(|file| file.len() > 0)
    });
    println!("  ready after {} ms", began.elapsed().as_millis());
    let base = Counts::of(&many.pair.ours, control)?;
    let mut probed = false;
    if ready {
        many.begin()?;
        let began = Instant::now();
        probed = wait_until(deadline(20), || {
            let now = Counters::of(&many.pair.ours);
            now.is_ok_and(|now| now.since(base.kernel).keepalive >= all as u64)
        });
        many.end()?;
        println!("  probed for {:.1} s", began.elapsed().as_secs_f32());
        // At the end katrace waits for owners a moment only, so the signal comes after the last line.
        wait_for_lines(lines, all + 1)?;
        println!("  written after {:.1} s", began.elapsed().as_secs_f32());
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM)?;
    let status = output::ended(&mut child, 20);
    let complaints = output::joined(complaints)?;
    ensure!(ready, "katrace was not ready in time\n{complaints}");
    let status = status.context("katrace did not end")?;
    ensure!(
        status.success(),
        "katrace ended with {status}\n{complaints}"
    );
    let due = Counts::of(&many.pair.ours, control)?.since(base);
    ensure!(
        probed && due.kernel.keepalive == all as u64,
        "{} of {all} sockets",
        due.kernel
    );
    Ok(due)
}

/// Waits until that many lines were written, or no more come. On a host that hides softirqs there are fewer.
fn wait_for_lines(file: &File, wanted: usize) -> Result<()> {
    let (mut at, mut seen) = (0, 0);
    let mut buffer = vec![0; 1 << 16];
    let mut last = Instant::now();
    while seen < wanted && last.elapsed() < QUIET {
        // By position: the child's writes move the offset of this file too.
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            sleep(Duration::from_millis(20));
            continue;
        }
        at += read as u64;
        seen += buffer[..read].iter().filter(|byte| **byte == b'\n').count();
        last = Instant::now();
    }
    Ok(())
}

/// How many different sockets were shown, each with the one process that holds it.
fn each_by_its_process(text: &str, pids: &[u32]) -> Result<usize> {
    let mut shown = BTreeSet::new();
    for text in text.lines() {
        let line: Line = serde_json::from_str(text).with_context(|| text.to_owned())?;
        if line.event != "probe" {
            ensure!(line.event != "lost", "records were lost: {text}");
            continue;
        }
        let (lport, rport) = line.lport.zip(line.rport).context("no ports")?;
        let number = usize::from(rport - PORT);
        let pid = *pids.get(number).context("a port of no process")?;
        ensure!(
            line.pid == Some(pid)
                && line.comm == Some(&format!("kat-many-{number}"))
                && line.owner_from == Some("scan")
                && matches!(line.owners[..], [Holder { pid: held, fd: Some(_) }] if held == pid),
            "the socket of {pid} is shown as {text}"
        );
        ensure!(shown.insert((lport, rport)), "a socket twice: {text}");
    }
    Ok(shown.len())
}
