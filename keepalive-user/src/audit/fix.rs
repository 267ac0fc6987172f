//! What would fix a finding, as lines to paste.

use super::{
    apps::{self, App, Program, Role},
    context::Context,
    group::Group,
    plan::Plan,
    rules::Advice,
};
use crate::snapshot::Origin;

/// The lines for one finding: the program's own settings where it is recognised, else socket options.
pub fn lines(
    advice: Advice,
    group: &Group<'_>,
    context: &Context<'_>,
    program: Option<&Program>,
) -> Vec<String> {
    let app = program.and_then(|program| apps::recognise(program, role(group, context)));
    match advice {
        Advice::Lines(lines) => lines,
        Advice::Settings => match app {
            Some(app) => titled(app, app.settings(&context.target)),
            None => generic(group, &context.target),
        },
        Advice::UserTimeout(ms) => match app.and_then(|app| Some((app, app.user_timeout(ms)?))) {
            Some((app, line)) => titled(app, vec![line]),
            None => vec![option("IPPROTO_TCP", "TCP_USER_TIMEOUT", ms)],
        },
        Advice::Idle(seconds) => vec![option("IPPROTO_TCP", "TCP_KEEPIDLE", seconds)],
    }
}

fn role(group: &Group<'_>, context: &Context<'_>) -> Role {
    let row = group.first.row;
    if group.first.is_listener() || context.is_served(row) {
        Role::Server
    } else {
        Role::Client { rport: row.rport }
    }
}

fn titled(app: App, lines: Vec<String>) -> Vec<String> {
    std::iter::once(format!("# {}", app.title()))
        .chain(lines)
        .collect()
}

fn generic(group: &Group<'_>, plan: &Plan) -> Vec<String> {
    let mut lines = setsockopts(plan).to_vec();
    // Where the socket takes its times from its namespace, the sysctls do it without a change of the program.
    let row = group.first.row;
    let inherits = row
        .keepidle_ms
        .is_some_and(|idle| idle.from != Origin::Socket);
    if group.first.set.keepalive && inherits {
        lines.push("# or, as the socket takes its times from its namespace's sysctls:".to_owned());
        lines.extend(apps::sysctls(plan));
    }
    lines
}

/// The plan as socket options.
pub fn setsockopts(plan: &Plan) -> [String; 5] {
    [
        option("SOL_SOCKET", "SO_KEEPALIVE", 1),
        option("IPPROTO_TCP", "TCP_KEEPIDLE", plan.idle_s),
        option("IPPROTO_TCP", "TCP_KEEPINTVL", plan.intvl_s),
        option("IPPROTO_TCP", "TCP_KEEPCNT", plan.cnt),
        option("IPPROTO_TCP", "TCP_USER_TIMEOUT", plan.user_timeout_ms()),
    ]
}

fn option(level: &str, name: &str, value: u64) -> String {
    format!("setsockopt(fd, {level}, {name}, {value})")
}
