//! A socket and a process, for tests that need any.

use std::net::{IpAddr, Ipv4Addr};

use super::{Family, Process, Settings, Socket, State};

/// An established connection from nowhere to nowhere.
pub fn socket(inode: Option<u64>) -> Socket {
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Socket {
        family: Family::Ipv4,
        laddr: nowhere,
        lport: 1,
        raddr: nowhere,
        rport: 2,
        state: State::Established,
        netns: 1,
        inode,
        settings: Settings {
            keepidle_ms: 1,
            keepintvl_ms: 1,
            keepcnt: 1,
            user_timeout_ms: 0,
        },
        silence_ms: None,
    }
}

/// A process of which only its pid matters.
pub fn process(pid: u32) -> Process {
    Process {
        pid,
        comm: "p".into(),
        details: None,
    }
}
