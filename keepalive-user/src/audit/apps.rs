//! Programs whose own settings are known: which they are, and how each spells a plan.
//!
//! Every line is what the program's documentation calls its setting; what a program does with it
//! beyond that (Redis derives two values from one) is said beside it.

use super::plan::Plan;

/// A program, or a client library, with keepalive settings of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum App {
    PostgreSql,
    Libpq,
    PgBouncer,
    MySql,
    MariaDb,
    Redis,
    PgJdbc,
    ConnectorJ,
    Grpc,
    Go,
    Node,
    NginxServer,
    NginxUpstream,
    HaProxyServer,
    HaProxyUpstream,
    Envoy,
    Sshd,
}

/// How a program is told from others: from /proc, as far as its owner let it be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The process's name.
    pub comm: String,
    /// The last part of its executable's path; empty where it cannot be read.
    pub exe: String,
    /// It has PostgreSQL's client library mapped.
    pub libpq: bool,
    /// Built by the Go toolchain.
    pub go: bool,
}

/// The end of the connection that the program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It listens, or accepted the connection.
    Server,
    /// It connected to this port.
    Client { rport: u16 },
}

impl App {
    /// In the order in which a plan shows them; Go is among its languages.
    pub const ALL: [Self; 16] = [
        Self::PostgreSql,
        Self::Libpq,
        Self::PgBouncer,
        Self::MySql,
        Self::MariaDb,
        Self::Redis,
        Self::PgJdbc,
        Self::ConnectorJ,
        Self::Grpc,
        Self::Node,
        Self::NginxServer,
        Self::NginxUpstream,
        Self::HaProxyServer,
        Self::HaProxyUpstream,
        Self::Envoy,
        Self::Sshd,
    ];

    /// A word for it, for machines.
    pub fn key(self) -> &'static str {
        match self {
            Self::PostgreSql => "postgresql",
            Self::Libpq => "libpq",
            Self::PgBouncer => "pgbouncer",
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
            Self::Redis => "redis",
            Self::PgJdbc => "pgjdbc",
            Self::ConnectorJ => "connector-j",
            Self::Grpc => "grpc",
            Self::Go => "go",
            Self::Node => "node",
            Self::NginxServer => "nginx-server",
            Self::NginxUpstream => "nginx-upstream",
            Self::HaProxyServer => "haproxy-server",
            Self::HaProxyUpstream => "haproxy-upstream",
            Self::Envoy => "envoy",
            Self::Sshd => "sshd",
        }
    }

    /// Its name, with where the lines belong.
    pub fn title(self) -> &'static str {
        match self {
            Self::PostgreSql => "PostgreSQL server: postgresql.conf",
            Self::Libpq => "libpq (psql, psycopg, most PostgreSQL clients): connection string",
            Self::PgBouncer => "PgBouncer: pgbouncer.ini",
            Self::MySql => "MySQL",
            Self::MariaDb => "MariaDB: [mariadb] of my.cnf",
            Self::Redis => "Redis, Valkey: redis.conf",
            Self::PgJdbc => "PostgreSQL JDBC: connection properties",
            Self::ConnectorJ => "MySQL Connector/J: connection properties",
            Self::Grpc => "gRPC: channel arguments",
            Self::Go => "Go: net.Dialer and net.ListenConfig (1.23)",
            Self::Node => "Node.js: net.Socket",
            Self::NginxServer => "nginx, towards clients",
            Self::NginxUpstream => "nginx, towards upstreams",
            Self::HaProxyServer => "HAProxy, towards clients: frontend",
            Self::HaProxyUpstream => "HAProxy, towards servers: backend",
            Self::Envoy => "Envoy: cluster",
            Self::Sshd => "sshd_config",
        }
    }

    /// The lines that make it keep to the plan.
    pub fn settings(self, plan: &Plan) -> Vec<String> {
        let Plan {
            idle_s,
            intvl_s,
            cnt,
        } = *plan;
        let user_timeout = plan.user_timeout_ms();
        let lines: Vec<String> = match self {
            Self::PostgreSql => vec![
                format!("tcp_keepalives_idle = {idle_s}"),
                format!("tcp_keepalives_interval = {intvl_s}"),
                format!("tcp_keepalives_count = {cnt}"),
                format!("tcp_user_timeout = {user_timeout}"),
            ],
            Self::Libpq => vec![format!(
                "keepalives=1 keepalives_idle={idle_s} keepalives_interval={intvl_s} \
                 keepalives_count={cnt} tcp_user_timeout={user_timeout}"
            )],
            Self::PgBouncer => vec![
                "tcp_keepalive = 1".to_owned(),
                format!("tcp_keepidle = {idle_s}"),
                format!("tcp_keepintvl = {intvl_s}"),
                format!("tcp_keepcnt = {cnt}"),
                format!("tcp_user_timeout = {user_timeout}"),
            ],
            Self::MySql => {
                let has = "# SO_KEEPALIVE is on, in server and client library; the times are the sysctls'";
                with_sysctls(plan, &[has])
            }
            Self::MariaDb => vec![
                format!("tcp_keepalive_time = {idle_s}"),
                format!("tcp_keepalive_interval = {intvl_s}"),
                format!("tcp_keepalive_probes = {cnt}"),
            ],
            Self::Redis => {
                let own = redis(plan);
                vec![
                    format!("# Redis takes a third of it as interval, and counts 3: {own}"),
                    format!("tcp-keepalive {}", own.idle_s),
                ]
            }
            Self::PgJdbc | Self::ConnectorJ => with_sysctls(plan, &["tcpKeepAlive=true"]),
            Self::Grpc => vec![
                format!("GRPC_ARG_KEEPALIVE_TIME_MS = {}", idle_s * 1000),
                format!("GRPC_ARG_KEEPALIVE_TIMEOUT_MS = {}", cnt * intvl_s * 1000),
                "# the server's, which by default allows one ping in 5 min and ends with too_many_pings:"
                    .to_owned(),
                format!(
                    "GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS = {}",
                    idle_s * 1000
                ),
            ],
            Self::Go => vec![format!(
                "KeepAliveConfig: net.KeepAliveConfig{{Enable: true, Idle: {idle_s} * time.Second, \
                 Interval: {intvl_s} * time.Second, Count: {cnt}}}"
            )],
            Self::Node => node(plan),
            Self::NginxServer => vec![format!("listen … so_keepalive={idle_s}s:{intvl_s}s:{cnt};")],
            Self::NginxUpstream => with_sysctls(plan, &["proxy_socket_keepalive on;"]),
            Self::HaProxyServer => vec![
                "option clitcpka".to_owned(),
                format!("clitcpka-idle {idle_s}s"),
                format!("clitcpka-intvl {intvl_s}s"),
                format!("clitcpka-cnt {cnt}"),
                format!("bind … tcp-ut {user_timeout}ms"),
            ],
            Self::HaProxyUpstream => vec![
                "option srvtcpka".to_owned(),
                format!("srvtcpka-idle {idle_s}s"),
                format!("srvtcpka-intvl {intvl_s}s"),
                format!("srvtcpka-cnt {cnt}"),
                format!("server … tcp-ut {user_timeout}ms"),
            ],
            Self::Envoy => vec![format!(
                "upstream_connection_options: {{tcp_keepalive: {{keepalive_time: {idle_s}, \
                 keepalive_interval: {intvl_s}, keepalive_probes: {cnt}}}}}"
            )],
            Self::Sshd => sshd(plan),
        };
        lines
    }

    /// Its own setting of TCP_USER_TIMEOUT, in milliseconds.
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

/// `tcp-keepalive N` sets idle N, interval N / 3 and count 3.
fn redis(plan: &Plan) -> Plan {
    let idle_s = (plan.detect_s() / 2).max(1);
    Plan {
        idle_s,
        intvl_s: (idle_s / 3).max(1),
        cnt: 3,
    }
}

/// `setKeepAlive` sets the idle time alone; libuv adds ten probes a second apart.
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

/// sshd's own messages: interval × count; TCPKeepAlive takes its times from the sysctls.
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

/// Servers that switch keepalive on for each socket they accept, unless told otherwise: their
/// listeners say nothing.
pub fn sets_after_accept(comm: &str) -> bool {
    matches!(
        comm,
        "postgres" | "redis-server" | "valkey-server" | "mysqld" | "mariadbd" | "pgbouncer"
    ) || comm.starts_with("sshd")
}

/// Which of them a program is in this role; `None` unless its name, its libraries and the port leave
/// no doubt worth having.
pub fn known(program: &Program, role: Role) -> Option<App> {
    let name = if program.exe.is_empty() {
        &program.comm
    } else {
        &program.exe
    };
    let postgres_port = matches!(role, Role::Client { rport: 5432 | 6432 });
    match (name.as_str(), role) {
        ("postgres", Role::Server) => Some(App::PostgreSql),
        ("postgres", Role::Client { .. }) => Some(App::Libpq),
        ("pgbouncer", _) => Some(App::PgBouncer),
        ("mysqld" | "mysql", _) => Some(App::MySql),
        ("mariadbd", _) => Some(App::MariaDb),
        ("redis-server" | "redis-check-rdb" | "valkey-server", Role::Server) => Some(App::Redis),
        ("nginx", Role::Server) => Some(App::NginxServer),
        ("nginx", Role::Client { .. }) => Some(App::NginxUpstream),
        ("haproxy", Role::Server) => Some(App::HaProxyServer),
        ("haproxy", Role::Client { .. }) => Some(App::HaProxyUpstream),
        ("envoy", Role::Client { .. }) => Some(App::Envoy),
        (name, Role::Server) if name.starts_with("sshd") => Some(App::Sshd),
        ("java", Role::Client { rport: 5432 | 6432 }) => Some(App::PgJdbc),
        ("java", Role::Client { rport: 3306 }) => Some(App::ConnectorJ),
        ("node" | "nodejs", Role::Client { .. }) => Some(App::Node),
        _ if program.libpq && postgres_port => Some(App::Libpq),
        _ if program.go => Some(App::Go),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        idle_s: 60,
        intvl_s: 10,
        cnt: 3,
    };

    fn named(exe: &str) -> Program {
        Program {
            exe: exe.to_owned(),
            ..Program::default()
        }
    }

    #[test]
    fn a_program_is_known_by_its_executable_before_its_name() {
        let client = Role::Client { rport: 5432 };
        assert_eq!(
            known(&named("postgres"), Role::Server),
            Some(App::PostgreSql)
        );
        assert_eq!(known(&named("postgres"), client), Some(App::Libpq));
        assert_eq!(known(&named("java"), client), Some(App::PgJdbc));
        assert_eq!(known(&named("java"), Role::Client { rport: 9 }), None);
        assert_eq!(known(&named("sshd-session"), Role::Server), Some(App::Sshd));
        assert_eq!(known(&named("nginx"), client), Some(App::NginxUpstream));
        assert_eq!(known(&Program::default(), client), None);
        let renamed = Program {
            comm: "postgres".to_owned(),
            ..named("impostor")
        };
        assert_eq!(known(&renamed, Role::Server), None);
        let python = Program {
            libpq: true,
            ..named("python3.11")
        };
        assert_eq!(known(&python, client), Some(App::Libpq));
        assert_eq!(known(&python, Role::Client { rport: 443 }), None);
    }

    #[test]
    fn what_derives_values_still_keeps_to_the_plan() {
        assert_eq!(redis(&PLAN).to_string(), "45 + 3 × 15 = 90 s");
        assert_eq!(
            node(&PLAN),
            [
                "socket.setKeepAlive(true, 60000)   // and ten probes, one a second: 60 + 10 × 1 = 70 s"
            ]
        );
        assert_eq!(sshd(&PLAN)[1], "# 30 × 3 = 90 s");
        for idle_s in 1..400 {
            let plan = Plan { idle_s, ..PLAN };
            assert!(redis(&plan).detect_s() <= plan.detect_s(), "{plan}");
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
