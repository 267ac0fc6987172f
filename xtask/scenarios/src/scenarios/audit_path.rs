//! Parts of the host that forget idle connections: katrace asks them for their timeouts.

use std::{
    io,
    net::UdpSocket,
    os::fd::{AsRawFd, FromRawFd},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{audit_bench::Bench, check::field};
use crate::{
    lab::{Actor, Sock},
    protocol::Keepalive,
};

/// `IP_VS_SO_SET_TIMEOUT` of include/uapi/linux/ip_vs.h.
const IP_VS_SO_SET_TIMEOUT: libc::c_int = 64 + 1024 + 64 + 10;

/// A socket of 60/10/3, judged against one path.
struct Case<'a> {
    bench: &'a Bench<'a>,
    path: &'static str,
    _actor: Actor,
    sock: Sock,
}

impl<'a> Case<'a> {
    fn new(bench: &'a Bench<'a>, path: &'static str) -> Result<Self> {
        let (actor, sock) = bench.client("kat-on-path", Some(Keepalive::new(60, 10, 3)))?;
        Ok(Self {
            bench,
            path,
            _actor: actor,
            sock,
        })
    }

    /// The finding that it is idle for too long, and what was said on stderr.
    fn exceeds(&self) -> Result<(Option<Value>, String)> {
        let args = ["--path", self.path, "-p", &self.sock.pid.to_string()];
        let once = self
            .bench
            .katrace
            .once("audit", &self.bench.pair.ours, &args)?;
        let mut found = once.records.into_iter();
        Ok((
            found.find(|one| one["rule"] == "idle-exceeds-path"),
            once.stderr,
        ))
    }

    /// Where there is nothing to ask, stderr says so, and there is no finding.
    fn is_absent(&self, sentence: &str) -> Result<()> {
        let (found, stderr) = self.exceeds()?;
        ensure!(found.is_none(), "{found:?}");
        ensure!(stderr.contains(sentence), "{stderr}");
        Ok(())
    }

    /// A timeout of 60 s gives a finding with a fix; one of 61 s gives none.
    fn follows(&self, set: impl Fn(u32) -> Result<()>) -> Result<()> {
        set(60)?;
        let (found, stderr) = self.exceeds()?;
        let finding =
            found.with_context(|| format!("{} of 60 s is no matter: {stderr}", self.path))?;
        field(&finding["evidence"], "path_timeout_ms", 60_000)?;
        // What is recommended fits the value that was read: 44 + 3 × 5 = 59 s.
        let fix = finding["fix"].to_string();
        ensure!(fix.contains("TCP_KEEPIDLE, 44)"), "{fix}");
        set(61)?;
        let (found, _) = self.exceeds()?;
        ensure!(found.is_none(), "{} of 61 s: {found:?}", self.path);
        Ok(())
    }
}

/// The namespace's own connection tracking is asked, and said to be missing where there is none.
pub fn tracked(bench: &Bench) -> Result<()> {
    const TIMEOUT: &str = "netfilter/nf_conntrack_tcp_timeout_established";
    let case = Case::new(bench, "conntrack")?;
    let path = std::path::Path::new("/proc/sys/net").join(TIMEOUT);
    if !bench.pair.ours.within(|| Ok(path.exists()))? {
        return case.is_absent("no connection tracking there");
    }
    case.follows(|seconds| bench.pair.ours.sysctl(TIMEOUT, seconds))
}

/// The same for IPVS.
pub fn balanced(bench: &Bench) -> Result<()> {
    let case = Case::new(bench, "ipvs")?;
    let set = |seconds: u32| bench.pair.ours.within(|| Ok(set_ipvs_timeout(seconds)));
    match set(60)? {
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
            println!("  ipvs: {error}");
            case.is_absent("no IPVS there")
        }
        _ => case.follows(|seconds| Ok(set(seconds)??)),
    }
}

/// Sets the IPVS timeout in the namespace of the calling thread.
fn set_ipvs_timeout(seconds: u32) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = unsafe { UdpSocket::from_raw_fd(raw) };
    // `struct ip_vs_timeout_user`: TCP, TCP after FIN, UDP; 0 leaves one as it is.
    let timeouts = [seconds, 0, 0];
    // SAFETY: the structure lives through the call and is as long as said.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            IP_VS_SO_SET_TIMEOUT,
            timeouts.as_ptr().cast(),
            size_of_val(&timeouts) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
