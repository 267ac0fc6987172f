//! Each rule of the audit: it finds sockets that break it, and is silent on sockets that differ in one thing.

use std::{net::SocketAddr, thread::sleep, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{
    audit_bench::{Bench, TO, complete},
    audit_path,
    check::{field, number},
};
use crate::{
    lab::{
        Actor, Katrace,
        pair::OURS4,
        time::{deadline, wait_until},
    },
    protocol::{Keepalive, Order},
};

/// Probes in a second: more than the rule `noisy` allows, and fewer.
const LOUD: usize = 60;
const QUIET: usize = 40;

/// A rule, the arguments of the audit, and the settings of two sockets: one with a finding, one without.
struct Case {
    rule: &'static str,
    args: &'static [&'static str],
    with_finding: Option<Keepalive>,
    without_finding: Option<Keepalive>,
    /// A number of the evidence.
    evidence: (&'static str, u64),
}

const fn case(
    rule: &'static str,
    args: &'static [&'static str],
    with_finding: Option<Keepalive>,
    without_finding: Option<Keepalive>,
    evidence: (&'static str, u64),
) -> Case {
    Case {
        rule,
        args,
        with_finding,
        without_finding,
        evidence,
    }
}

fn cases() -> [Case; 7] {
    let sound = Keepalive::new(60, 10, 3);
    [
        case(
            "idle-exceeds-path",
            &["--path", "60s"],
            Some(sound),
            Some(Keepalive::new(59, 10, 3)),
            ("path_timeout_ms", 60_000),
        ),
        case(
            "no-keepalive",
            &["--path", "aws-nlb", "--idle", "1s"],
            None,
            Some(sound),
            ("path_timeout_ms", 350_000),
        ),
        case(
            "l7-hop",
            &["--path", "aws-alb"],
            Some(sound),
            None,
            ("path_timeout_ms", 60_000),
        ),
        case(
            "slow-detection",
            &["--detect-within", "89s"],
            Some(sound.user_timeout(90_000)),
            Some(Keepalive::new(59, 10, 3).user_timeout(89_000)),
            ("detect_idle_ms", 90_000),
        ),
        case(
            "user-timeout-too-short",
            &[],
            Some(sound.user_timeout(70_000)),
            Some(sound.user_timeout(90_000)),
            ("probes_until_end", 1),
        ),
        case(
            "user-timeout-overrides-keepcnt",
            &[],
            Some(sound.user_timeout(80_000)),
            Some(sound.user_timeout(90_000)),
            ("probes_until_end", 2),
        ),
        case(
            "no-user-timeout",
            &["--detect-within", "90s"],
            Some(sound),
            Some(sound.user_timeout(90_000)),
            ("detect_within_ms", 90_000),
        ),
    ]
}

pub fn settings(katrace: &Katrace) -> Result<()> {
    let bench = Bench::new(katrace)?;
    let mut actors = Vec::new();
    for case in cases() {
        let faulty = bench.client("kat-faulty", case.with_finding)?;
        let sound = bench.client("kat-sound", case.without_finding)?;
        actors.push((case, faulty, sound));
    }
    sleep(Duration::from_millis(1100));
    for (case, (faulty, sock), (sound, _)) in &actors {
        let found = bench.audit(case.args)?;
        let of = |pid| {
            found
                .iter()
                .find(|one| one["rule"] == case.rule && one["pid"] == pid)
        };
        let finding = of(faulty.pid())
            .with_context(|| format!("{} is silent on its case: {found:?}", case.rule))?;
        ensure!(
            of(sound.pid()).is_none(),
            "{} on the socket without the fault: {found:?}",
            case.rule
        );
        complete(finding, sock)?;
        field(&finding["evidence"], case.evidence.0, case.evidence.1)?;
    }
    exit_codes(&bench, &actors[3].1.0)
}

/// The exit codes for one connection whose only finding is `slow-detection`, a warning.
fn exit_codes(bench: &Bench, slow: &Actor) -> Result<()> {
    let pid = slow.pid().to_string();
    let code = |args: &[&str]| -> Result<i32> {
        let args = [&["-p", &pid], args].concat();
        Ok(bench.katrace.once("audit", &bench.pair.ours, &args)?.code)
    };
    for (args, due) in [
        (&["--detect-within", "89s"][..], 1),
        (&["--detect-within", "89s", "--fail-on", "warning"], 1),
        (&["--detect-within", "89s", "--fail-on", "critical"], 0),
        (&["--detect-within", "89s", "--ignore", "slow-detection"], 0),
        (&["--detect-within", "90s"], 0),
    ] {
        let found = code(args)?;
        ensure!(found == due, "{args:?}: exit {found}, {due} was due");
    }
    Ok(())
}

pub fn now(katrace: &Katrace) -> Result<()> {
    let bench = Bench::new(katrace)?;
    let (_dying, lost) = bench.client("kat-dying", Some(Keepalive::new(2, 1, 90)))?;
    let (mut writer, mut stuck) = bench.client("kat-writer", Some(Keepalive::new(60, 1, 90)))?;
    ensure!(
        bench.audit(&["--ignore", "no-user-timeout"])?.is_empty(),
        "both are healthy"
    );
    bench.pair.vanish()?;
    writer.done(&Order::Write {
        fd: stuck.fd,
        bytes: 100,
    })?;
    writer.set(&mut stuck, Keepalive::new(1, 1, 90))?;
    let dying = bench.until("dying-now", &lost)?;
    field(&dying["evidence"], "keepcnt", 90)?;
    ensure!(
        number(&dying["evidence"], "dies_in_ms")? <= 90_000,
        "{dying}"
    );
    let suspended = bench.until("probes-suspended", &stuck)?;
    field(&suspended["evidence"], "unacked_bytes_max", 100)?;
    for finding in [&dying, &suspended] {
        field(finding, "severity", "critical")?;
    }
    bench.pair.come_back()?;
    // The peers of the same sockets answer again.
    let args = ["--ignore", "no-user-timeout"];
    let mut left = Vec::new();
    let healed = wait_until(deadline(30), || {
        left = bench
            .audit(&args)
            .unwrap_or_else(|error| vec![error.to_string().into()]);
        left.is_empty()
    });
    ensure!(healed, "still found: {left:?}");
    Ok(())
}

pub fn host(katrace: &Katrace) -> Result<()> {
    let bench = Bench::new(katrace)?;
    listeners(&bench)?;
    noise(&bench)?;
    namespaces(&bench)?;
    audit_path::tracked(&bench)?;
    audit_path::balanced(&bench)
}

fn listeners(bench: &Bench) -> Result<()> {
    let mut server = Actor::start(&bench.pair.ours, "kat-server")?;
    let mut listen = |port| -> Result<i32> { server.listen(SocketAddr::from((OURS4, port))) };
    let (_bare, inherits, later) = (listen(7011)?, listen(7012)?, listen(7013)?);
    server.done(&Order::Set {
        fd: inherits,
        keepalive: Keepalive::plain(),
    })?;
    let _client = bench.pair.dial(SocketAddr::from((OURS4, 7013)))?;
    server.accept(later, Some(Keepalive::new(60, 10, 3)))?;
    let found = bench.audit(&[])?;
    let rule = "listener-without-keepalive";
    let ports: Vec<u64> = found
        .iter()
        .filter(|one| one["rule"] == rule)
        .filter_map(|one| one["evidence"]["lport"].as_u64())
        .collect();
    ensure!(
        ports == [7011],
        "{rule} on {ports:?}, [7011] was due: {found:?}"
    );
    Ok(())
}

fn noise(bench: &Bench) -> Result<()> {
    let crowd = |name, count| -> Result<Actor> {
        let mut actor = Actor::start(&bench.pair.ours, name)?;
        actor.done(&Order::Crowd { to: TO, count })?;
        let keepalive = Some(Keepalive::new(1, 1, 9));
        actor.done(&Order::CrowdKeepalive {
            keepalive,
            over_ms: 0,
        })?;
        Ok(actor)
    };
    let (loud, quiet) = (crowd("kat-loud", LOUD)?, crowd("kat-quiet", QUIET)?);
    let found = bench.audit(&[])?;
    let of = |actor: &Actor| {
        let pid = actor.pid();
        found
            .iter()
            .find(move |one| one["rule"] == "noisy" && one["pid"] == pid)
    };
    let finding = of(&loud).with_context(|| format!("no noise in {found:?}"))?;
    // One pool, one finding.
    field(finding, "sockets", LOUD)?;
    field(&finding["evidence"], "probes_per_second", LOUD)?;
    ensure!(
        of(&quiet).is_none(),
        "noisy on the quiet process: {found:?}"
    );
    Ok(())
}

/// katrace runs in the namespace `host`. First no namespace is tuned, then only `host`, then both.
fn namespaces(bench: &Bench) -> Result<()> {
    let (ours, host) = (&bench.pair.ours, &bench.pair.peer);
    let (_actor, sock) = bench.client("kat-pod", Some(Keepalive::plain()))?;
    let of_rule = || -> Result<Vec<Value>> {
        let mut found = host.within(|| bench.audit(&[]))?;
        found.retain(|one| one["rule"] == "netns-not-tuned");
        Ok(found)
    };
    ensure!(
        of_rule()?.is_empty(),
        "netns-not-tuned where nobody tuned anything"
    );
    host.sysctl("ipv4/tcp_keepalive_time", 61)?;
    let found = of_rule()?;
    let [finding] = found.as_slice() else {
        bail!("one finding was due: {found:?}");
    };
    complete(finding, &sock)?;
    field(&finding["evidence"], "netns", ours.inode)?;
    field(&finding["evidence"], "host_keepidle_ms", 61_000)?;
    ours.sysctl("ipv4/tcp_keepalive_time", 62)?;
    ensure!(of_rule()?.is_empty(), "netns-not-tuned where both are");
    Ok(())
}
