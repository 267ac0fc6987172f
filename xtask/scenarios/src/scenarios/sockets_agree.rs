//! Both readers of `katrace sockets` list the same sockets.

use std::{
    collections::VecDeque,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    check::field,
    sockets::{Rows, list, readers},
};
use crate::{
    lab::{
        Katrace, Pair,
        crowd::{Crowd, SOCKETS},
        pair::PEER4,
    },
    protocol::{Keepalive, Order},
};

const PORT: u16 = 7012;

/// What must be the same in both; times differ by the time between the readings.
const SAME: &[&str] = &[
    "family",
    "laddr",
    "lport",
    "raddr",
    "rport",
    "state",
    "netns",
    "inode",
    "pid",
    "comm",
    "owners",
    "owner_from",
    "keepalive",
    "keepidle_ms",
    "keepidle_from",
    "keepintvl_ms",
    "keepintvl_from",
    "keepcnt",
    "keepcnt_from",
    "user_timeout_ms",
    "user_timeout_from",
    "unanswered",
    "unacked_bytes",
    "detect_idle_ms",
    "detect_data_ms",
];

pub fn readers_agree(katrace: &Katrace) -> Result<()> {
    let readers = readers(katrace)?;
    let mut crowd = Crowd::gather()?;
    let keepalive = Some(Keepalive::new(600, 20, 5));
    crowd.actor.done(&Order::CrowdKeepalive {
        keepalive,
        over_ms: 0,
    })?;
    let _listener = crowd.pair.listen(PORT)?;
    let stop = AtomicBool::new(false);
    let (lists, opened) = thread::scope(|scope| {
        let churn = scope.spawn(|| come_and_go(&crowd.pair, &stop));
        let lists: Result<Vec<Rows>> = readers
            .iter()
            .map(|reader| list(katrace, reader, &crowd.pair.ours, &[]))
            .collect();
        stop.store(true, Ordering::Relaxed);
        (lists, churn.join())
    });
    let opened = opened.map_err(|_| anyhow::anyhow!("the churn died"))??;
    let lists = lists?;
    for (reader, rows) in readers.iter().zip(&lists) {
        has_the_crowd(rows).with_context(|| format!("the reader {reader:?}"))?;
    }
    let [first, second] = lists.as_slice() else {
        println!("  one reader only: each row was compared with what was set");
        return Ok(());
    };
    let (same, changed) = compare(first, second)?;
    println!("  {same} rows are the same, {changed} sockets changed meanwhile, of {opened} opened");
    ensure!(same >= SOCKETS, "only {same} rows could be compared");
    ensure!(opened > 0, "nothing was opened meanwhile");
    Ok(())
}

/// Opens connections in our namespace until `stop`, and keeps the newest fifty. Returns how many it opened.
fn come_and_go(pair: &Pair, stop: &AtomicBool) -> Result<u64> {
    let to = SocketAddr::new(PEER4, PORT);
    let mut opened = 0;
    let mut open = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        open.push_back(pair.ours.within(|| {
            TcpStream::connect_timeout(&to, Duration::from_secs(30))
                .context("open one of those that come and go")
        })?);
        opened += 1;
        if open.len() > 50 {
            open.pop_front();
        }
    }
    Ok(opened)
}

fn has_the_crowd(rows: &Rows) -> Result<()> {
    let mut count = 0;
    for row in rows.values().filter(|row| row["comm"] == "kat-crowd") {
        field(row, "keepidle_ms", 600_000)?;
        field(row, "detect_idle_ms", 700_000)?;
        count += 1;
    }
    let unowned = rows.values().filter(|row| row["comm"].is_null()).count();
    ensure!(
        count == SOCKETS,
        "it lists {count} of {SOCKETS} sockets, and {unowned} of nobody"
    );
    Ok(())
}

/// Compares the rows that both readers saw in the same state. Returns their number, and the number of other sockets.
fn compare(first: &Rows, second: &Rows) -> Result<(usize, usize)> {
    let mut same = 0;
    for (inode, row) in first {
        let other = second.get(inode);
        // Closed or accepted between the readings.
        let is_still =
            |other: &&Value| row["state"] == other["state"] && row["owners"] == other["owners"];
        let Some(other) = other.filter(is_still) else {
            continue;
        };
        for name in SAME {
            ensure!(
                row[*name] == other[*name],
                "`{name}` differs between the readers:\n{row}\n{other}"
            );
        }
        same += 1;
    }
    let newer = second.keys().filter(|inode| !first.contains_key(inode));
    Ok((same, first.len() - same + newer.count()))
}
