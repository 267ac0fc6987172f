//! A plan: the arithmetic, then the same settings for each language and program.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    languages,
    wrap::{COLUMNS, wrapped},
};
use crate::{
    audit::{App, Plan, Wanted, remark, retries2_ms, retries2_within, sysctls},
    sinks::json::Json,
};

/// The settings for one language or program.
struct Section {
    key: &'static str,
    title: &'static str,
    lines: Vec<String>,
}

/// Writes the plan for people.
pub fn text(wanted: &Wanted, plan: &Plan, out: &mut Vec<u8>) -> io::Result<()> {
    for line in reasons(wanted, plan) {
        wrapped("# ", "#   ", &line, COLUMNS, out)?;
    }
    for section in sections(plan) {
        writeln!(out, "\n== {}", section.title)?;
        for line in section.lines {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Writes the plan as one JSON object.
pub fn json(json: &Json, wanted: &Wanted, plan: &Plan, out: &mut Vec<u8>) -> io::Result<()> {
    let total_ms = plan.detect_s() * 1000;
    json.write(
        &PlanRecord {
            keepidle_ms: plan.idle_s * 1000,
            keepintvl_ms: plan.intvl_s * 1000,
            keepcnt: plan.cnt,
            user_timeout_ms: plan.user_timeout_ms(),
            arithmetic: plan.to_string(),
            detect_idle_ms: total_ms,
            detect_data_ms: plan.user_timeout_ms(),
            detect_within_ms: wanted.detect_within_ms,
            path: wanted
                .hops
                .iter()
                .map(|hop| HopRecord {
                    name: &hop.name,
                    timeout_ms: hop.timeout_ms,
                    probe_resets: hop.probe_resets.name(),
                })
                .collect(),
            notes: reasons(wanted, plan),
            settings: sections(plan)
                .map(|section| SectionRecord {
                    r#for: section.key,
                    title: section.title,
                    lines: section.lines,
                })
                .collect(),
        },
        out,
    )
}

#[derive(Serialize)]
struct PlanRecord<'a> {
    keepidle_ms: u64,
    keepintvl_ms: u64,
    keepcnt: u64,
    user_timeout_ms: u64,
    arithmetic: String,
    detect_idle_ms: u64,
    detect_data_ms: u64,
    detect_within_ms: Option<u64>,
    path: Vec<HopRecord<'a>>,
    notes: Vec<String>,
    settings: Vec<SectionRecord>,
}

#[derive(Serialize)]
struct HopRecord<'a> {
    name: &'a str,
    timeout_ms: u64,
    probe_resets: &'static str,
}

#[derive(Serialize)]
struct SectionRecord {
    r#for: &'static str,
    title: &'static str,
    lines: Vec<String>,
}

/// The reasons for these numbers, one line each.
fn reasons(wanted: &Wanted, plan: &Plan) -> Vec<String> {
    let mut lines = vec![format!(
        "{plan}: first probe after {} s of silence, then {} probes {} s apart; a dead peer is noticed \
         after {} s",
        plan.idle_s,
        plan.cnt,
        plan.intvl_s,
        plan.detect_s()
    )];
    if let Some(within) = wanted.detect_within_ms {
        lines.push(format!(
            "asked for: within {} s; {} ≤ {}",
            within / 1000,
            plan.detect_s(),
            within / 1000
        ));
    }
    let mut hops: Vec<_> = wanted
        .hops
        .iter()
        .filter(|hop| hop.passes_probes())
        .collect();
    hops.sort_by_key(|hop| hop.timeout_ms);
    lines.extend(hops.iter().map(|hop| {
        let last = plan.idle_s + (plan.cnt - 1) * plan.intvl_s;
        format!(
            "{} remembers an idle connection for {} s: the probes at {} to {last} s come before that",
            hop.name,
            hop.timeout_ms / 1000,
            plan.idle_s
        )
    }));
    lines.push(format!(
        "TCP_USER_TIMEOUT {} ms: the same time for data in flight; where it is set it decides instead of \
         TCP_KEEPCNT, here after as many probes",
        plan.user_timeout_ms()
    ));
    if plan.cnt < 3 {
        lines.push(format!(
            "only {} probe{}: packets lost by accident can end a live connection",
            plan.cnt,
            if plan.cnt == 1 { "" } else { "s" }
        ));
    }
    lines.extend(wanted.hops.iter().filter_map(remark));
    lines
}

fn sections(plan: &Plan) -> impl Iterator<Item = Section> {
    let sysctl = Section {
        key: "sysctl",
        title: "sysctl.d: /etc/sysctl.d/60-keepalive.conf",
        lines: sysctl_file(plan),
    };
    let languages = languages::all(plan).map(|(key, title, text)| Section {
        key,
        title,
        lines: text.lines().map(str::to_owned).collect(),
    });
    let apps: Vec<Section> = App::ALL
        .into_iter()
        .map(|app| Section {
            key: app.key(),
            title: app.title(),
            lines: app.settings(plan),
        })
        .collect();
    std::iter::once(sysctl).chain(languages).chain(apps)
}

fn sysctl_file(plan: &Plan) -> Vec<String> {
    let retries = retries2_within(plan.user_timeout_ms());
    let mut lines = vec![format!("# TCP keepalive: {plan}")];
    lines.extend(sysctls(plan));
    lines.extend([
        "# Only for sockets with SO_KEEPALIVE that set no times of their own. A network namespace"
            .to_owned(),
        "# (container, pod) does not inherit them: set them in each.".to_owned(),
        "# TCP_USER_TIMEOUT has no sysctl. What bounds data in flight for all sockets is"
            .to_owned(),
        format!(
            "# net.ipv4.tcp_retries2 = {retries}   # from about {} s on (RFC 1122 asks for 100)",
            retries2_ms(retries) / 1000
        ),
    ]);
    lines
}
