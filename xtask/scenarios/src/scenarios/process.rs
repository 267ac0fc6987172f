//! How katrace starts and how it ends.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::Stdio,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{
    lab::{Actor, Katrace, Pair, output, pair::PEER4, programs},
    protocol::Keepalive,
};

const BTF: &str = "/sys/kernel/btf";
const STARTS: u32 = 3;
/// The kernel is still freeing the trampolines of the katrace before, and a start would wait for that.
const PAUSE: Duration = Duration::from_millis(500);
/// Nobody, on every distribution.
const NOBODY: u32 = 65_534;

/// The times are printed, not judged: the bench measures them.
pub fn start_and_stop(katrace: &Katrace) -> Result<()> {
    for _ in 0..STARTS {
        sleep(PAUSE);
        let tracer = katrace.start(["-e", "all"])?.ready()?;
        println!("  start to ready: {} ms", tracer.ready_after.as_millis());
        let programs = programs::held_by(tracer.pid())?;
        ensure!(!programs.is_empty(), "a ready katrace holds no BPF program");
        tracer.stop()?.summary()?;
        programs::are_gone(&programs)?;
    }
    Ok(())
}

/// The log of the kernel half is loaded only with `-v`, so the verifier checks it only here.
pub fn verbose(katrace: &Katrace) -> Result<()> {
    let tracer = katrace.start(["-v", "-e", "all"])?.ready()?;
    tracer.stop()?.summary()?;
    Ok(())
}

pub fn closed_pipe(katrace: &Katrace) -> Result<()> {
    let pair = Pair::new()?;
    let listener = pair.listen(7800)?;
    let mut actor = Actor::start(&pair.ours, "kat-pipe")?;
    actor.connect(
        SocketAddr::from((PEER4, 7800)),
        Some(Keepalive::new(1, 1, 9)),
    )?;
    // The duration only ends a katrace that would otherwise never print anything and never end.
    let mut child = katrace
        .command(["-o", "json", "-e", "all", "-d", "120s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let complaints = output::read_all(child.stderr.take());
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().context("katrace without stdout")?);
    stdout.read_line(&mut first)?;
    // From here on every line that katrace writes meets a closed pipe.
    drop(stdout);
    let status = output::ended(&mut child, 6);
    drop(listener);
    let complaints = output::joined(complaints)?.to_lowercase();
    ensure!(first.contains("\"ready\""), "the first line was {first:?}");
    let status = status.context("katrace went on without a reader")?;
    ensure!(
        status.code() == Some(0),
        "katrace ended with {status}: {complaints}"
    );
    for word in ["panic", "broken pipe", "error"] {
        ensure!(!complaints.contains(word), "not a quiet end: {complaints}");
    }
    Ok(())
}

pub fn no_privilege(katrace: &Katrace) -> Result<()> {
    // Leaving uid 0 drops every capability; the program itself must stay readable to nobody.
    let mut command = katrace.command(["-o", "json", "-d", "1s"]);
    let output = output::output(command.uid(NOBODY).gid(NOBODY).current_dir("/"))?;
    let stderr = output.stderr;
    ensure!(
        output.status.code() == Some(3),
        "katrace ended with {}: {stderr}",
        output.status
    );
    ensure!(stderr.contains("CAP_BPF"), "CAP_BPF is not named: {stderr}");
    ensure!(
        output.stdout.is_empty(),
        "records on stdout although nothing was traced"
    );
    Ok(())
}

/// A kernel without BTF, as far as katrace can see.
pub fn no_btf(katrace: &Katrace) -> Result<()> {
    // A mount namespace belongs to a thread, and what it starts inherits it.
    let hidden = std::thread::scope(|scope| {
        let hiding = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).context("unsharing the mount namespace")?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
                .context("making mounts private")?;
            mount(Some("tmpfs"), BTF, Some("tmpfs"), MsFlags::empty(), none)
                .context("mounting over BTF")?;
            output::output(&mut katrace.command(["-o", "json", "-d", "1s"]))
        });
        hiding.join()
    });
    let output = hidden.map_err(|_| anyhow!("the thread that hid BTF panicked"))??;
    let lines: Vec<&str> = output.stderr.lines().collect();
    ensure!(
        output.status.code() == Some(3),
        "katrace ended with {}: {lines:?}",
        output.status
    );
    ensure!(
        lines.len() == 2 && lines[0].contains(BTF) && lines[1].contains("CONFIG_DEBUG_INFO_BTF"),
        "not a line of cause and one of what to do: {lines:?}"
    );
    Ok(())
}
