//! How a plan is written in the settings of each program.
//!
//! Every line is a setting as the program's documentation names it. Where a program turns it into other values (Redis
//! derives two values from one), a comment in the line says so.

use super::App;
use crate::audit::plan::Plan;

impl App {
    /// The lines that make the program keep to the plan.
    pub fn settings(self, plan: &Plan) -> Vec<String> {
        match self {
            Self::PostgreSql => postgresql(plan),
            Self::Libpq => libpq(plan),
            Self::PgBouncer => pgbouncer(plan),
            Self::MySql => with_sysctls(
                plan,
                &["# SO_KEEPALIVE is on, in server and client library; the times are the sysctls'"],
            ),
            Self::MariaDb => mariadb(plan),
            Self::Redis => redis(plan),
            Self::PgJdbc | Self::ConnectorJ => with_sysctls(plan, &["tcpKeepAlive=true"]),
            Self::Grpc => grpc(plan),
            Self::Go => go(plan),
            Self::Node => node(plan),
            Self::NginxServer => nginx_server(plan),
            Self::NginxUpstream => with_sysctls(plan, &["proxy_socket_keepalive on;"]),
            Self::HaProxyServer => haproxy(plan, "cli", "bind"),
            Self::HaProxyUpstream => haproxy(plan, "srv", "server"),
            Self::Envoy => envoy(plan),
            Self::Sshd => sshd(plan),
        }
    }

    /// The line that sets TCP_USER_TIMEOUT to `ms` milliseconds; `None` where the program has no such setting.
    pub fn user_timeout(self, ms: u64) -> Option<String> {
        match self {
            Self::PostgreSql | Self::PgBouncer => Some(format!("tcp_user_timeout = {ms}")),
            Self::Libpq => Some(format!("tcp_user_timeout={ms}")),
            Self::HaProxyServer => Some(format!("bind … tcp-ut {ms}ms")),
            Self::HaProxyUpstream => Some(format!("server … tcp-ut {ms}ms")),
            Self::MySql
            | Self::MariaDb
            | Self::Redis
            | Self::PgJdbc
            | Self::ConnectorJ
            | Self::Grpc
            | Self::Go
            | Self::Node
            | Self::NginxServer
            | Self::NginxUpstream
            | Self::Envoy
            | Self::Sshd => None,
        }
    }
}

fn postgresql(plan: &Plan) -> Vec<String> {
    vec![
        format!("tcp_keepalives_idle = {}", plan.idle_s),
        format!("tcp_keepalives_interval = {}", plan.intvl_s),
        format!("tcp_keepalives_count = {}", plan.cnt),
        format!("tcp_user_timeout = {}", plan.user_timeout_ms()),
    ]
}

fn libpq(plan: &Plan) -> Vec<String> {
    let Plan {
        idle_s,
        intvl_s,
        cnt,
    } = plan;
    let user_timeout = plan.user_timeout_ms();
    vec![format!(
        "keepalives=1 keepalives_idle={idle_s} keepalives_interval={intvl_s} \
         keepalives_count={cnt} tcp_user_timeout={user_timeout}"
    )]
}

fn pgbouncer(plan: &Plan) -> Vec<String> {
    vec![
        "tcp_keepalive = 1".to_owned(),
        format!("tcp_keepidle = {}", plan.idle_s),
        format!("tcp_keepintvl = {}", plan.intvl_s),
        format!("tcp_keepcnt = {}", plan.cnt),
        format!("tcp_user_timeout = {}", plan.user_timeout_ms()),
    ]
}

fn mariadb(plan: &Plan) -> Vec<String> {
    vec![
        format!("tcp_keepalive_time = {}", plan.idle_s),
        format!("tcp_keepalive_interval = {}", plan.intvl_s),
        format!("tcp_keepalive_probes = {}", plan.cnt),
    ]
}

fn redis(plan: &Plan) -> Vec<String> {
    let own = redis_plan(plan);
    vec![
        format!("# Redis takes a third of it as interval, and counts 3: {own}"),
        format!("tcp-keepalive {}", own.idle_s),
    ]
}

fn grpc(plan: &Plan) -> Vec<String> {
    let idle_ms = plan.idle_s * 1000;
    vec![
        format!("GRPC_ARG_KEEPALIVE_TIME_MS = {idle_ms}"),
        format!(
            "GRPC_ARG_KEEPALIVE_TIMEOUT_MS = {}",
            plan.cnt * plan.intvl_s * 1000
        ),
        "# the server's, which by default allows one ping in 5 min and ends with too_many_pings:"
            .to_owned(),
        format!("GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS = {idle_ms}"),
    ]
}

fn go(plan: &Plan) -> Vec<String> {
    let Plan {
        idle_s,
        intvl_s,
        cnt,
    } = plan;
    vec![format!(
        "KeepAliveConfig: net.KeepAliveConfig{{Enable: true, Idle: {idle_s} * time.Second, \
         Interval: {intvl_s} * time.Second, Count: {cnt}}}"
    )]
}

fn nginx_server(plan: &Plan) -> Vec<String> {
    let Plan {
        idle_s,
        intvl_s,
        cnt,
    } = plan;
    vec![format!("listen … so_keepalive={idle_s}s:{intvl_s}s:{cnt};")]
}

/// The settings of one side, `cli` or `srv`; TCP_USER_TIMEOUT belongs to another directive.
fn haproxy(plan: &Plan, side: &str, directive: &str) -> Vec<String> {
    vec![
        format!("option {side}tcpka"),
        format!("{side}tcpka-idle {}s", plan.idle_s),
        format!("{side}tcpka-intvl {}s", plan.intvl_s),
        format!("{side}tcpka-cnt {}", plan.cnt),
        format!("{directive} … tcp-ut {}ms", plan.user_timeout_ms()),
    ]
}

fn envoy(plan: &Plan) -> Vec<String> {
    let Plan {
        idle_s,
        intvl_s,
        cnt,
    } = plan;
    vec![format!(
        "upstream_connection_options: {{tcp_keepalive: {{keepalive_time: {idle_s}, \
         keepalive_interval: {intvl_s}, keepalive_probes: {cnt}}}}}"
    )]
}

/// `tcp-keepalive N` sets idle N, interval N / 3 and count 3.
fn redis_plan(plan: &Plan) -> Plan {
    let idle_s = (plan.detect_s() / 2).max(1);
    Plan {
        idle_s,
        intvl_s: (idle_s / 3).max(1),
        cnt: 3,
    }
}

/// `setKeepAlive` sets only the idle time. libuv sends ten probes, one a second.
fn node(plan: &Plan) -> Vec<String> {
    const PROBES: u64 = 10;
    let own = Plan {
        idle_s: plan
            .idle_s
            .min(plan.detect_s().saturating_sub(PROBES))
            .max(1),
        intvl_s: 1,
        cnt: PROBES,
    };
    vec![format!(
        "socket.setKeepAlive(true, {})   // and ten probes, one a second: {own}",
        own.idle_s * 1000
    )]
}

/// sshd's own messages notice a dead peer after interval × count. The times of TCPKeepAlive are the sysctls'.
fn sshd(plan: &Plan) -> Vec<String> {
    let count = plan.detect_s().min(3);
    let interval = plan.detect_s() / count;
    vec![
        "TCPKeepAlive yes".to_owned(),
        format!("# {interval} × {count} = {} s", interval * count),
        format!("ClientAliveInterval {interval}"),
        format!("ClientAliveCountMax {count}"),
    ]
}

fn with_sysctls(plan: &Plan, own: &[&str]) -> Vec<String> {
    let times = "# It has no setting of the times, which are the sysctls':";
    let own = own.iter().copied().chain([times]).map(str::to_owned);
    own.chain(sysctls(plan)).collect()
}

/// The plan as lines of a sysctl.d file.
pub fn sysctls(plan: &Plan) -> [String; 3] {
    [
        format!("net.ipv4.tcp_keepalive_time = {}", plan.idle_s),
        format!("net.ipv4.tcp_keepalive_intvl = {}", plan.intvl_s),
        format!("net.ipv4.tcp_keepalive_probes = {}", plan.cnt),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        idle_s: 60,
        intvl_s: 10,
        cnt: 3,
    };

    #[test]
    fn derived_values_keep_to_the_plan_too() {
        assert_eq!(redis_plan(&PLAN).to_string(), "45 + 3 × 15 = 90 s");
        assert_eq!(
            node(&PLAN),
            [
                "socket.setKeepAlive(true, 60000)   // and ten probes, one a second: 60 + 10 × 1 = 70 s"
            ]
        );
        assert_eq!(sshd(&PLAN)[1], "# 30 × 3 = 90 s");
        for idle_s in 1..400 {
            let plan = Plan { idle_s, ..PLAN };
            assert!(redis_plan(&plan).detect_s() <= plan.detect_s(), "{plan}");
        }
    }

    #[test]
    fn every_program_has_lines_and_none_repeats_anothers_title() {
        for (at, app) in App::ALL.into_iter().enumerate() {
            assert!(!app.settings(&PLAN).is_empty(), "{}", app.title());
            let others = &App::ALL[..at];
            assert!(others.iter().all(|other| other.title() != app.title()));
        }
    }
}
