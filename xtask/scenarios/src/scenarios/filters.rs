//! A mix of sockets, and for each filter one katrace that must show its part and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr, TcpListener},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::{
    lab::{
        Actor, Katrace, Pair, Record,
        cgroup::Cgroup,
        pair::{OURS4, OURS6, PEER4, PEER6},
        time::{deadline, wait_until},
    },
    protocol::Keepalive,
};

/// A socket of the mix, by namespace and local port.
type Key = (u64, u64);
type Keys = BTreeMap<char, Key>;

/// Sockets by a letter; the table of cases speaks of them so.
///
/// | socket | process   | netns  | family | from | to   |
/// |--------|-----------|--------|--------|------|------|
/// | a      | kat-alpha | first  | IPv4   | 5001 | 7001 |
/// | b      | kat-alpha | first  | IPv6   | 5002 | 7002 |
/// | c      | kat-beta  | first  | IPv4   | 5003 | 7002 |
/// | d      | kat-gamma | second | IPv4   | 5004 | 7001 |
struct Mix {
    keys: Keys,
    alpha: Actor,
    first: Pair,
    /// For the processes, the namespaces and the listeners, which only have to stay.
    _rest: (Actor, Actor, Pair, Vec<TcpListener>),
}

struct Case {
    args: Vec<String>,
    shows: &'static str,
    events: &'static [&'static str],
}

/// How many katraces run at a time: a slow machine runs other scenarios too.
const AT_ONCE: usize = 7;

const BOTH: &[&str] = &["answered", "probe"];

pub fn each_splits_the_mix(katrace: &Katrace) -> Result<()> {
    let cgroup = Cgroup::new("katrace-lab")?;
    let mix = Mix::open(cgroup.as_ref())?;
    let (mut cases, keys) = (mix.cases(), &mix.keys);
    match &cgroup {
        Some(cgroup) => {
            cases.push(case(
                &["--cgroup", &cgroup.path.to_string_lossy()],
                "c",
                BOTH,
            ));
        }
        None => println!("  --cgroup not tried: no cgroup2 is mounted"),
    }
    let mut failures = Vec::new();
    for batch in cases.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let running: Vec<_> = batch
                .iter()
                .map(|case| (case, scope.spawn(|| shows_its_part(katrace, keys, case))))
                .collect();
            for (case, thread) in running {
                let result = thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("its thread died")));
                let named = |error| format!("{}: {error:#}", case.args.join(" "));
                failures.extend(result.err().map(named));
            }
        });
    }
    ensure!(
        failures.is_empty(),
        "{} filters\n{}",
        failures.len(),
        failures.join("\n")
    );
    Ok(())
}

fn case(args: &[&str], shows: &'static str, events: &'static [&'static str]) -> Case {
    Case {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        shows,
        events,
    }
}

impl Mix {
    fn open(cgroup: Option<&Cgroup>) -> Result<Self> {
        let (first, second) = (Pair::new()?, Pair::new()?);
        let listeners = vec![
            first.listen(7001)?,
            first.listen(7002)?,
            second.listen(7001)?,
        ];
        let mut alpha = Actor::start(&first.ours, "kat-alpha")?;
        let mut beta = Actor::start(&first.ours, "kat-beta")?;
        let mut gamma = Actor::start(&second.ours, "kat-gamma")?;
        if let Some(cgroup) = cgroup {
            cgroup.take(beta.pid())?;
        }
        let (one, two) = (first.ours.inode, second.ours.inode);
        let mut keys = BTreeMap::new();
        let mut open = |letter, actor: &mut Actor, netns, from, to| {
            let (from, to): (SocketAddr, SocketAddr) = (from, to);
            actor.connect_from(Some(from), to, Some(Keepalive::new(1, 1, 9)))?;
            keys.insert(letter, (netns, u64::from(from.port())));
            anyhow::Ok(())
        };
        let at = |address: IpAddr, port: u16| SocketAddr::from((address, port));
        open('a', &mut alpha, one, at(OURS4, 5001), at(PEER4, 7001))?;
        open('b', &mut alpha, one, at(OURS6, 5002), at(PEER6, 7002))?;
        open('c', &mut beta, one, at(OURS4, 5003), at(PEER4, 7002))?;
        open('d', &mut gamma, two, at(OURS4, 5004), at(PEER4, 7001))?;
        Ok(Self {
            keys,
            alpha,
            first,
            _rest: (beta, gamma, second, listeners),
        })
    }

    fn cases(&self) -> Vec<Case> {
        vec![
            case(&["-p", &self.alpha.pid().to_string()], "ab", BOTH),
            case(&["-c", "kat-[bg]*"], "cd", BOTH),
            case(&["-c", "kat-?amma"], "d", BOTH),
            case(&["-L", "5001,5004"], "ad", BOTH),
            case(&["-D", "7002"], "bc", BOTH),
            case(&["-a", "198.18.0.2/32"], "acd", BOTH),
            case(&["-a", "fd00:6b61::/64"], "b", BOTH),
            case(&["-4"], "acd", BOTH),
            case(&["-6"], "b", BOTH),
            case(&["-N", &self.first.ours.inode.to_string()], "abc", BOTH),
            case(&["-e", "probe"], "abcd", &["probe"]),
            case(&["-e", "answered"], "abcd", &["answered"]),
            case(&["-4", "-D", "7001", "-L", "5001"], "a", BOTH),
        ]
    }
}

fn shows_its_part(katrace: &Katrace, keys: &Keys, case: &Case) -> Result<()> {
    let mut args = case.args.clone();
    if !args.iter().any(|arg| arg == "-e") {
        args.extend(["-e".to_owned(), "all".to_owned()]);
    }
    let tracer = katrace.start(&args)?.ready()?;
    let letters: BTreeSet<char> = case.shows.chars().collect();
    let due: BTreeSet<(char, &str)> = letters
        .iter()
        .flat_map(|letter| case.events.iter().map(|event| (*letter, *event)))
        .collect();
    wait_until(deadline(4), || {
        let seen = seen_of(keys, &tracer.records());
        due.iter()
            .all(|(letter, event)| seen.contains(&(*letter, (*event).to_owned())))
    });
    // Half a second more for what should not come: every socket probes each second, and the
    // wait above already lasted one.
    thread::sleep(std::time::Duration::from_millis(500));
    let stopped = tracer.stop()?;
    stopped.summary()?;
    let seen = seen_of(keys, &stopped.records);
    let due: BTreeSet<_> = due
        .into_iter()
        .map(|(c, event)| (c, event.to_owned()))
        .collect();
    ensure!(seen == due, "only {due:?} were due, {seen:?} shown");
    Ok(())
}

/// The events of the mix. Other sockets of the machine are left out.
fn seen_of(keys: &Keys, records: &[Record]) -> BTreeSet<(char, String)> {
    records
        .iter()
        .filter_map(|record| letter_of(keys, record).ok())
        .collect()
}

fn letter_of(keys: &Keys, record: &Value) -> Result<(char, String)> {
    let number = |name: &str| record[name].as_u64().context("no socket event");
    let key = (number("netns")?, number("lport")?);
    let (letter, _) = keys
        .iter()
        .find(|(_, found)| **found == key)
        .context("not of the mix")?;
    let event = record["event"].as_str().context("no event")?;
    Ok((*letter, event.to_owned()))
}
