//! The story that a newcomer sees: three ways in which a peer can be gone, traced live.

use std::{
    fs::File,
    io::{IsTerminal, Read, Write, stdout},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Stdio},
    thread::{JoinHandle, sleep, spawn},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    lab::{Actor, Counters, Katrace, Pair, Scene, Sock, Start, output::ended, pair::PEER4},
    protocol::{Keepalive, Order, Wait},
};

const PORT: u16 = 5432;
const TO: SocketAddr = SocketAddr::new(PEER4, PORT);

/// The terminal that `cargo xtask picture` shows: wide enough for every line of the story.
const SCREEN: Winsize = Winsize {
    ws_row: 40,
    ws_col: 110,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// Returns true when the kernel's counters agree with what katrace showed.
///
/// With `screen`, katrace writes its table to a terminal of its own, and the bytes that reach this terminal go to
/// that file. The audit is left out then.
pub fn run(path: &Path, screen: Option<&Path>) -> Result<bool> {
    let katrace = Katrace {
        path: path.to_owned(),
        backend: "auto".to_owned(),
        control: None,
    };
    let pair = Pair::new()?;
    let listener = pair.listen(PORT)?;
    let netns = pair.ours.inode.to_string();
    let watch = ["-N", netns.as_str(), "-e", "all"];
    tell("Two network namespaces joined by a wire: a client's host and a database's host.");
    tell(&format!(
        "katrace watches the client's (-N {netns}). Below, its table as it comes."
    ));
    // A second katrace prints JSON. The story waits for its events, and the check counts them.
    let tracer = match katrace.start(watch)? {
        Start::Ready(tracer) => tracer,
        Start::Refused(reason) => bail!("{reason}"),
    };
    let table = match screen {
        Some(file) => Table::on_screen(&katrace, &pair, file)?,
        None => Table::start(&katrace, &watch)?,
    };
    let scene = Scene::open(&tracer, &pair)?;
    let story = Story {
        scene: &scene,
        _listener: listener,
    };
    story.dead()?;
    story.back()?;
    story.stalled()?;
    scene.truth()?;
    table.stop()?;
    let agree = story.agree()?;
    if screen.is_none() {
        story.audited(&katrace)?;
    }
    tracer.stop()?.summary()?;
    Ok(agree)
}

struct Story<'a> {
    scene: &'a Scene<'a>,
    _listener: TcpListener,
}

impl Story<'_> {
    fn dead(&self) -> Result<()> {
        let mut pool = self.actor("db-pool")?;
        let sock = pool.connect(TO, Some(Keepalive::new(2, 1, 3)))?;
        pool.sleep_in(sock.fd, Wait::Recv)?;
        self.scene.pair.vanish()?;
        act(1, "the peer is gone");
        tell(&format!(
            "db-pool (pid {}) waits for an answer in recv(); keepalive is on:",
            pool.pid()
        ));
        tell("first probe after 2 s of silence, one each second, give up after 3.");
        tell("The database's host has just lost its power. Nobody says goodbye.");
        self.shown(&sock, "timeout", |_| true)?;
        let errno = pool.woken()?;
        ensure!(
            errno == libc::ETIMEDOUT,
            "recv came back with errno {errno}"
        );
        tell("After 2 + 3 × 1 s the kernel gave up, and recv() in db-pool returned ETIMEDOUT.");
        self.scene.pair.come_back()
    }

    fn back(&self) -> Result<()> {
        let mut patient = self.actor("patient")?;
        let sock = patient.connect(TO, Some(Keepalive::new(2, 1, 9)))?;
        self.scene.pair.vanish()?;
        act(2, "the peer comes back");
        tell(&format!(
            "patient (pid {}) would take 9 lost probes. Two are lost;",
            patient.pid()
        ));
        tell("then the cable is plugged in again.");
        self.shown(&sock, "probe", |event| event["probe"] == 2)?;
        self.scene.pair.come_back()?;
        self.shown(&sock, "answered", |event| event["unanswered"] != 1)?;
        tell("The next probe was answered: the connection lives, and patient never knew.");
        Ok(())
    }

    fn stalled(&self) -> Result<()> {
        self.scene.pair.ours.sysctl("ipv4/tcp_retries2", 3)?;
        let mut writer = self.actor("writer")?;
        let mut sock = writer.connect(TO, Some(Keepalive::new(60, 1, 3)))?;
        self.scene.pair.vanish()?;
        writer.done(&Order::Write {
            fd: sock.fd,
            bytes: 100,
        })?;
        writer.set(&mut sock, Keepalive::new(1, 1, 3))?;
        act(3, "keepalive does not help a writer");
        tell(&format!(
            "writer (pid {}) sent 100 bytes that nobody acknowledges.",
            writer.pid()
        ));
        tell("As long as data is in flight no probe goes out: keepalive stalls, and what");
        tell("decides is retransmission (tcp_retries2, by default some 15 minutes; here 3 tries).");
        self.shown(&sock, "timeout", |_| true)?;
        tell("TCP_USER_TIMEOUT would have bounded this one.");
        self.scene.pair.come_back()
    }

    /// Shows what an audit finds before the connections die.
    fn audited(&self, katrace: &Katrace) -> Result<()> {
        let mut wishful = self.actor("wishful")?;
        wishful.connect(TO, Some(Keepalive::plain()))?;
        let mut pool = self.actor("old-pool")?;
        pool.done(&Order::Crowd { to: TO, count: 20 })?;
        // Silent for longer than --idle below.
        sleep(Duration::from_millis(1100));
        let netns = self.scene.pair.ours.inode.to_string();
        let args = [
            "--path",
            "aws-nlb",
            "--idle",
            "1s",
            "--ignore",
            "no-user-timeout",
        ];
        act(4, "what could have been known before");
        tell(&format!(
            "wishful (pid {}) switched keepalive on and left the times to the kernel; old-pool",
            wishful.pid()
        ));
        tell(&format!(
            "(pid {}) opened 20 connections without it. The way leads through an AWS NLB:",
            pool.pid()
        ));
        tell(&format!("katrace audit -N {netns} {}", args.join(" ")));
        let mut command = std::process::Command::new(&katrace.path);
        command.args(["audit", "-N", &netns]).args(args);
        let status = command.status().context("run katrace audit")?;
        ensure!(
            status.code() == Some(1),
            "the audit ended with {status}, 1 was due: findings"
        );
        tell("Exit code 1: fit for CI. katrace audit --plan prints settings that pass.");
        Ok(())
    }

    /// Waits for an event in the JSON, and then for the table, which is another process.
    fn shown(&self, sock: &Sock, kind: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        self.scene.wait_for(sock, kind, 10, wanted)?;
        sleep(Duration::from_millis(250));
        Ok(())
    }

    fn actor(&self, name: &str) -> Result<Actor> {
        Actor::start(&self.scene.pair.ours, name)
    }

    /// Compares with the kernel's own account of the namespace, which began at zero.
    fn agree(&self) -> Result<bool> {
        let netns = &self.scene.pair.ours;
        let kernel = Counters::of(netns)?;
        let events = self.scene.events_in(netns);
        let count = |kind| events.iter().filter(|event| event["event"] == kind).count() as u64;
        let shown = Counters {
            keepalive: count("probe"),
            aborts: count("timeout"),
        };
        let agree = kernel == shown;
        let verdict = if agree { "agree" } else { "DISAGREE" };
        tell(&format!("the kernel's own counters {verdict}:"));
        tell(&format!(
            "TcpExtTCPKeepAlive = {}, katrace showed {} probes;",
            kernel.keepalive, shown.keepalive
        ));
        tell(&format!(
            "TcpExtTCPAbortOnTimeout = {}, katrace showed {} timeouts.",
            kernel.aborts, shown.aborts
        ));
        Ok(agree)
    }
}

/// The katrace that a person reads.
struct Table {
    child: Child,
    /// Copies the terminal to a file, where the table has a terminal of its own.
    copier: Option<JoinHandle<Result<()>>>,
}

impl Table {
    /// The table goes to our own stdout and stderr.
    fn start(katrace: &Katrace, watch: &[&str]) -> Result<Self> {
        let mut command = katrace.command(watch);
        command
            .args(["-o", "table"])
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        let child = command.spawn().context("start katrace with a table")?;
        Ok(Self::begun(child, None))
    }

    /// The table goes to a terminal of its own, and from there to `file`. The banner and the summary are left out.
    fn on_screen(katrace: &Katrace, pair: &Pair, file: &Path) -> Result<Self> {
        let mut copy = File::create(file).with_context(|| format!("create {}", file.display()))?;
        let terminal = openpty(&SCREEN, None).context("open a terminal")?;
        let mut command = katrace.command(["-N", "self", "-o", "table"]);
        command.stdout(terminal.slave).stderr(Stdio::null());
        let child = pair
            .ours
            .within(|| command.spawn().context("start katrace with a table"))?;
        let mut master = File::from(terminal.master);
        let copier = spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                match master.read(&mut bytes) {
                    Ok(0) => return Ok(()),
                    Ok(count) => copy.write_all(bytes.get(..count).unwrap_or_default())?,
                    // The kernel answers so once no process has the other end open.
                    Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(()),
                    Err(error) => return Err(error).context("read the terminal"),
                }
            }
        });
        Ok(Self::begun(child, Some(copier)))
    }

    fn begun(child: Child, copier: Option<JoinHandle<Result<()>>>) -> Self {
        // The banner belongs before the first act.
        sleep(Duration::from_secs(1));
        Self { child, copier }
    }

    fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGTERM)?;
        let status = ended(&mut self.child, 5).context("katrace did not end in time")?;
        ensure!(status.success(), "katrace ended with {status}");
        match self.copier.take() {
            Some(copier) => copier
                .join()
                .map_err(|_| anyhow!("the thread that copies the terminal died"))?,
            None => Ok(()),
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // Both fail only when the process is already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn act(number: u32, title: &str) {
    println!();
    styled(
        &format!("{number}. {title}"),
        AnsiColor::Cyan.on_default().bold(),
    );
}

fn tell(line: &str) {
    styled(line, AnsiColor::Cyan.on_default());
}

fn styled(line: &str, style: Style) {
    // NO_COLOR counts when it is set and not empty.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = if stdout().is_terminal() && !refused {
        style
    } else {
        Style::new()
    };
    println!("{style}  # {line}{style:#}");
}
