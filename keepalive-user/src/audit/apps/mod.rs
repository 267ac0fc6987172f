//! Programs and client libraries with keepalive settings of their own: their names, how one is recognised
//! (`recognise`), and how a plan is written in the settings of each (`settings`).

mod recognise;
mod settings;

pub use recognise::{Program, Role, recognise, sets_after_accept};
pub use settings::sysctls;

/// A program, or a client library, with keepalive settings of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum App {
    /// The PostgreSQL server.
    PostgreSql,
    /// PostgreSQL's client library in C, and what is built on it.
    Libpq,
    /// PgBouncer, towards both sides.
    PgBouncer,
    /// MySQL, server and client.
    MySql,
    /// The MariaDB server.
    MariaDb,
    /// The Redis or Valkey server.
    Redis,
    /// PostgreSQL's JDBC driver.
    PgJdbc,
    /// MySQL's JDBC driver.
    ConnectorJ,
    /// gRPC, any language.
    Grpc,
    /// A program in Go.
    Go,
    /// A program on Node.js.
    Node,
    /// nginx, towards clients.
    NginxServer,
    /// nginx, towards upstreams.
    NginxUpstream,
    /// HAProxy, towards clients.
    HaProxyServer,
    /// HAProxy, towards servers.
    HaProxyUpstream,
    /// Envoy, towards upstreams.
    Envoy,
    /// The OpenSSH server.
    Sshd,
}

impl App {
    /// Those that a plan lists as programs, in that order. Go is missing: the plan lists it as a language.
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

    /// Its key in JSON output.
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

    /// Its name, and where its lines belong.
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
}
