//! PostgreSQL, Redis, nginx and sshd from their packages, each with keepalive settings of its own. What katrace
//! shows must be what was configured, and what `getsockopt` answers.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::check::{field, number};
use crate::lab::{
    Katrace, Netns, Pair, Root, Server, pair::OURS4, pidfd::Options, root::SERVER_UID,
    time::deadline,
};

/// One server: where it listens, its settings, and the line of its configuration that an audit recommends.
struct Told {
    port: u16,
    comm: &'static str,
    options: Options,
    /// Who set the idle time, by katrace's account.
    from: &'static str,
    fix: &'static str,
}

const fn options(idle_s: u64, intvl_s: u64, cnt: u32, user_timeout_ms: u64) -> Options {
    Options {
        keepalive: true,
        idle_s,
        intvl_s,
        cnt,
        user_timeout_ms,
    }
}

const POSTGRES: Told = Told {
    port: 5432,
    comm: "postgres",
    options: options(61, 11, 4, 105_000),
    from: "socket",
    fix: "tcp_keepalives_idle = 13",
};
const REDIS: Told = Told {
    port: 6379,
    comm: "redis-server",
    // Redis makes 15 and 3 of `tcp-keepalive 45` by itself.
    options: options(45, 15, 3, 0),
    from: "socket",
    fix: "tcp-keepalive 9",
};
const NGINX: Told = Told {
    port: 8080,
    comm: "nginx",
    options: options(62, 12, 5, 0),
    from: "socket",
    fix: "listen … so_keepalive=13s:2s:3;",
};
const SSHD: Told = Told {
    port: 2222,
    comm: "sshd",
    // The namespace's: sshd switches keepalive on and sets no times.
    options: options(63, 13, 6, 0),
    from: "netns",
    fix: "ClientAliveInterval 6",
};
const LIBPQ: Options = options(64, 14, 2, 92_000);

pub fn speak_for_themselves(katrace: &Katrace, tree: &Path) -> Result<()> {
    let pair = Pair::new()?;
    let told = SSHD.options;
    for (name, value) in [
        ("time", told.idle_s),
        ("intvl", told.intvl_s),
        ("probes", told.cnt.into()),
    ] {
        pair.ours
            .sysctl(&format!("ipv4/tcp_keepalive_{name}"), value)?;
    }
    let root = Root::new(tree)?;
    let servers = [
        (&POSTGRES, postgres(&root, &pair.ours)?),
        (&REDIS, redis(&root, &pair.ours)?),
        (&NGINX, nginx(&root, &pair.ours)?),
        (&SSHD, sshd(&root, &pair.ours)?),
    ];
    let clients = servers
        .iter()
        .map(|(told, server)| {
            dial(&pair, told.port).with_context(|| format!("{}: {}", server.name, root.log(server)))
        })
        .collect::<Result<Vec<_>>>()?;
    let psql = psql(&root, &pair.peer)?;
    for ((told, _), client) in servers.iter().zip(&clients) {
        compare(katrace, &pair.ours, told, client.local_addr()?.port())
            .with_context(|| format!("the socket of {}", told.comm))?;
    }
    client_library(katrace, &pair.peer).with_context(|| format!("psql: {}", root.log(&psql)))?;
    audited(katrace, &pair.ours)
}

fn postgres(root: &Root, netns: &Netns) -> Result<Server> {
    const BIN: &str = "/usr/lib/postgresql/17/bin";
    let initdb = format!("{BIN}/initdb");
    let flags = [
        "-D",
        "/tmp/db",
        "-U",
        "postgres",
        "-A",
        "trust",
        "-N",
        "--no-locale",
    ];
    root.run(netns, &[&[initdb.as_str()], &flags[..]].concat())?;
    root.append("db/pg_hba.conf", "host all all 198.18.0.0/15 trust\n")?;
    let Options {
        idle_s,
        intvl_s,
        cnt,
        user_timeout_ms,
        ..
    } = POSTGRES.options;
    root.append(
        "db/postgresql.conf",
        &format!(
            "listen_addresses = '{OURS4}'\nport = {}\nunix_socket_directories = '/tmp'\nfsync = off\n\
             dynamic_shared_memory_type = mmap\nshared_buffers = 1MB\njit = off\n\
             tcp_keepalives_idle = {idle_s}\ntcp_keepalives_interval = {intvl_s}\n\
             tcp_keepalives_count = {cnt}\ntcp_user_timeout = {user_timeout_ms}\n",
            POSTGRES.port
        ),
    )?;
    let server = format!("{BIN}/postgres");
    root.serve(netns, "postgres", &[&server, "-D", "/tmp/db"], SERVER_UID)
}

fn redis(root: &Root, netns: &Netns) -> Result<Server> {
    let text = format!(
        "bind {OURS4}\nport {}\nprotected-mode no\nsave \"\"\ndir /tmp\ntcp-keepalive {}\n",
        REDIS.port, REDIS.options.idle_s
    );
    root.write("redis.conf", &text)?;
    let argv = ["/usr/bin/redis-server", "/tmp/redis.conf"];
    root.serve(netns, "redis", &argv, SERVER_UID)
}

fn nginx(root: &Root, netns: &Netns) -> Result<Server> {
    let Options {
        idle_s,
        intvl_s,
        cnt,
        ..
    } = NGINX.options;
    let text = format!(
        "daemon off;\nmaster_process off;\npid /tmp/nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n access_log off;\n client_body_temp_path /tmp/n1;\n proxy_temp_path /tmp/n2;\n\
         fastcgi_temp_path /tmp/n3;\n uwsgi_temp_path /tmp/n4;\n scgi_temp_path /tmp/n5;\n\
         server {{ listen {OURS4}:{} so_keepalive={idle_s}s:{intvl_s}s:{cnt}; }}\n}}\n",
        NGINX.port
    );
    root.write("nginx.conf", &text)?;
    let argv = ["/usr/sbin/nginx", "-e", "stderr", "-c", "/tmp/nginx.conf"];
    root.serve(netns, "nginx", &argv, SERVER_UID)
}

fn sshd(root: &Root, netns: &Netns) -> Result<Server> {
    let key = [
        "/usr/bin/ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-f",
        "/tmp/key",
    ];
    root.run(netns, &key)?;
    let text = format!(
        "ListenAddress {OURS4}:{}\nHostKey /tmp/key\nPidFile none\nTCPKeepAlive yes\n\
         LoginGraceTime 60\n",
        SSHD.port
    );
    root.write("sshd.conf", &text)?;
    let argv = ["/usr/sbin/sshd", "-D", "-e", "-f", "/tmp/sshd.conf"];
    root.serve(netns, "sshd", &argv, SERVER_UID)
}

/// A client with libpq's settings, which sleeps on the server.
fn psql(root: &Root, netns: &Netns) -> Result<Server> {
    let connection = format!(
        "host={OURS4} user=postgres keepalives_idle={} keepalives_interval={} keepalives_count={} \
         tcp_user_timeout={}",
        LIBPQ.idle_s, LIBPQ.intvl_s, LIBPQ.cnt, LIBPQ.user_timeout_ms
    );
    let argv = [
        "/usr/lib/postgresql/17/bin/psql",
        &connection,
        "-c",
        "select pg_sleep(60)",
    ];
    root.serve(netns, "psql", &argv, SERVER_UID)
}

/// Connects from the other namespace as soon as the server listens.
fn dial(pair: &Pair, port: u16) -> Result<TcpStream> {
    let limit = deadline(20);
    loop {
        match pair.dial(SocketAddr::from((OURS4, port))) {
            Ok(stream) => return Ok(stream),
            Err(error) if std::time::Instant::now() > limit => bail!("no server: {error:#}"),
            Err(_) => sleep(Duration::from_millis(50)),
        }
    }
}

fn compare(katrace: &Katrace, netns: &Netns, told: &Told, client: u16) -> Result<()> {
    let row = until_held(katrace, netns, told.port, client)?;
    let comm = row["comm"].as_str().unwrap_or_default();
    ensure!(
        comm.starts_with(told.comm),
        "held by {comm}, {} was due",
        told.comm
    );
    field(&row, "keepidle_from", told.from)?;
    same(&row, told.options)
}

fn client_library(katrace: &Katrace, netns: &Netns) -> Result<()> {
    let limit = deadline(10);
    loop {
        let rows = sockets(katrace, netns)?;
        let of_psql = rows
            .iter()
            .find(|row| row["comm"] == "psql" && row["rport"] == 5432);
        match of_psql {
            Some(row) => {
                same(row, LIBPQ)?;
                break;
            }
            None if std::time::Instant::now() > limit => bail!("no connection of psql in {rows:?}"),
            None => sleep(Duration::from_millis(100)),
        }
    }
    let findings = katrace.audit(netns, &["--path", "20s", "-c", "psql"])?;
    let fix = findings
        .first()
        .map(|one| one["fix"].to_string())
        .context("nothing is found of psql")?;
    ensure!(
        fix.contains("keepalives=1 keepalives_idle=13 "),
        "no words of libpq in {fix}"
    );
    Ok(())
}

/// What katrace shows is what was configured, and what the owner's own `getsockopt` answers.
fn same(row: &Value, told: Options) -> Result<()> {
    let shown = Options {
        keepalive: row["keepalive"] == true,
        idle_s: number(row, "keepidle_ms")? / 1000,
        intvl_s: number(row, "keepintvl_ms")? / 1000,
        cnt: number(row, "keepcnt")?.try_into()?,
        user_timeout_ms: number(row, "user_timeout_ms")?,
    };
    ensure!(
        shown == told,
        "katrace shows {shown:?}, {told:?} was configured"
    );
    let holder = &row["owners"][0];
    let pid = number(holder, "pid")?.try_into()?;
    let inside = Options::inside(pid, number(holder, "fd")?.try_into()?)?;
    ensure!(
        inside == told,
        "getsockopt answers {inside:?} inside, {told:?} was configured"
    );
    Ok(())
}

/// The server's end of one connection, once its process has it.
fn until_held(katrace: &Katrace, netns: &Netns, port: u16, client: u16) -> Result<Value> {
    let limit = deadline(5);
    loop {
        let rows = sockets(katrace, netns)?;
        let held = |row: &&Value| {
            row["lport"] == port
                && row["rport"] == client
                && row["pid"].is_u64()
                && row["keepalive"] == true
        };
        match rows.iter().find(held) {
            Some(row) => return Ok(row.clone()),
            None if std::time::Instant::now() > limit => {
                bail!("no socket {port} to {client} with keepalive in {rows:?}")
            }
            None => sleep(Duration::from_millis(100)),
        }
    }
}

fn sockets(katrace: &Katrace, netns: &Netns) -> Result<Vec<Value>> {
    Ok(katrace.once("sockets", netns, &[])?.records)
}

/// For a path that forgets after 20 s, the audit gives each of them a fix in the server's own settings.
fn audited(katrace: &Katrace, netns: &Netns) -> Result<()> {
    let findings = katrace.audit(netns, &["--path", "20s"])?;
    for told in [&POSTGRES, &REDIS, &NGINX, &SSHD] {
        let finding = findings
            .iter()
            .find(|one| {
                one["rule"] == "idle-exceeds-path" && one["examples"][0]["lport"] == told.port
            })
            .with_context(|| format!("nothing of {} in {findings:?}", told.comm))?;
        field(finding, "severity", "critical")?;
        let evidence = &finding["evidence"];
        field(evidence, "keepidle_ms", told.options.idle_s * 1000)?;
        field(evidence, "path_timeout_ms", 20_000)?;
        let fix = finding["fix"].as_array().context("`fix` is no list")?;
        ensure!(
            fix.iter().any(|line| line == told.fix),
            "`{}` is not in {fix:?}",
            told.fix
        );
    }
    Ok(())
}
