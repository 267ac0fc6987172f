//! Which program holds a socket. Its name, its libraries and its end of the connection tell it.

use super::App;

/// What is known of a process to recognise its program: read from /proc, as far as that may be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The process's name.
    pub comm: String,
    /// The file name of its executable; empty where it cannot be read.
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
    Client {
        /// The peer's port.
        rport: u16,
    },
}

/// Whether it is a server that by default switches keepalive on for each socket it accepts. Its listener then says
/// nothing about its connections.
pub fn sets_after_accept(comm: &str) -> bool {
    matches!(
        comm,
        "postgres" | "redis-server" | "valkey-server" | "mysqld" | "mariadbd" | "pgbouncer"
    ) || comm.starts_with("sshd")
}

/// The program or library in this role; `None` unless name, libraries and port agree on one.
pub fn recognise(program: &Program, role: Role) -> Option<App> {
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

    fn of_executable(exe: &str) -> Program {
        Program {
            exe: exe.to_owned(),
            ..Program::default()
        }
    }

    #[test]
    fn a_program_is_recognised_by_its_executable_before_its_name() {
        let client = Role::Client { rport: 5432 };
        assert_eq!(
            recognise(&of_executable("postgres"), Role::Server),
            Some(App::PostgreSql)
        );
        assert_eq!(
            recognise(&of_executable("postgres"), client),
            Some(App::Libpq)
        );
        assert_eq!(recognise(&of_executable("java"), client), Some(App::PgJdbc));
        assert_eq!(
            recognise(&of_executable("java"), Role::Client { rport: 9 }),
            None
        );
        assert_eq!(
            recognise(&of_executable("sshd-session"), Role::Server),
            Some(App::Sshd)
        );
        assert_eq!(
            recognise(&of_executable("nginx"), client),
            Some(App::NginxUpstream)
        );
        assert_eq!(recognise(&Program::default(), client), None);
        let renamed = Program {
            comm: "postgres".to_owned(),
            ..of_executable("impostor")
        };
        assert_eq!(recognise(&renamed, Role::Server), None);
        let python = Program {
            libpq: true,
            ..of_executable("python3.11")
        };
        assert_eq!(recognise(&python, client), Some(App::Libpq));
        assert_eq!(recognise(&python, Role::Client { rport: 443 }), None);
    }
}
