//! The words of JSON, CSV and the table for the types of `event` and `snapshot`. The words of the
//! kinds of event are in the table of `event::EventKind`.

use std::fmt;

use rustix::io::Errno as Os;

use crate::{
    event::{Attach, Call, Cause, Errno, Family, OwnerFrom, Runtime, State},
    snapshot::Origin,
};

impl Family {
    /// The `family` field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

impl State {
    /// The kernel's name without its `TCP_` prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
            Self::NewSynRecv => "NEW_SYN_RECV",
        }
    }
}

impl Origin {
    /// The `keepidle_from` field and its siblings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Netns => "netns",
            Self::Default => "default",
        }
    }
}

impl OwnerFrom {
    /// The `owner_from` field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Inherited => "inherited",
            Self::Passed => "passed",
            Self::Scan => "scan",
            Self::Last => "last",
        }
    }
}

impl Call {
    /// The `call` field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recv => "recv",
            Self::Send => "send",
            Self::Connect => "connect",
            Self::Getsockopt => "getsockopt",
            Self::Splice => "splice",
            Self::Sendfile => "sendfile",
        }
    }
}

impl Runtime {
    /// The `runtime` field of a container.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
        }
    }
}

impl Attach {
    /// The `attach` field, and the word for `--attach`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }
}

impl Cause {
    /// Every cause, in the order of docs/events.md. A cause stands at the index `cause as usize`.
    pub const ALL: [Self; 7] = [
        Self::Keepalive,
        Self::UserTimeout,
        Self::Retransmit,
        Self::ZeroWindow,
        Self::Connect,
        Self::Accept,
        Self::Other,
    ];

    /// The `cause` field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::UserTimeout => "user_timeout",
            Self::Retransmit => "retransmit",
            Self::ZeroWindow => "zero_window",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Other => "other",
        }
    }
}

impl Errno {
    /// The symbol, for the errors that a TCP socket can end with; `None` for any other number.
    pub fn name(self) -> Option<&'static str> {
        // The numbers differ between architectures, so they come from the C headers.
        const NAMES: [(Os, &str); 18] = [
            (Os::TIMEDOUT, "ETIMEDOUT"),
            (Os::HOSTUNREACH, "EHOSTUNREACH"),
            (Os::NETUNREACH, "ENETUNREACH"),
            (Os::CONNRESET, "ECONNRESET"),
            (Os::CONNREFUSED, "ECONNREFUSED"),
            (Os::CONNABORTED, "ECONNABORTED"),
            (Os::PIPE, "EPIPE"),
            (Os::HOSTDOWN, "EHOSTDOWN"),
            (Os::NETDOWN, "ENETDOWN"),
            (Os::NOPROTOOPT, "ENOPROTOOPT"),
            (Os::PROTO, "EPROTO"),
            (Os::OPNOTSUPP, "EOPNOTSUPP"),
            (Os::MSGSIZE, "EMSGSIZE"),
            (Os::ACCESS, "EACCES"),
            (Os::PERM, "EPERM"),
            (Os::NOBUFS, "ENOBUFS"),
            (Os::NOMEM, "ENOMEM"),
            (Os::INVAL, "EINVAL"),
        ];
        NAMES
            .iter()
            .find(|(os, _)| os.raw_os_error() == self.0)
            .map(|(_, name)| *name)
    }
}

impl fmt::Display for Errno {
    /// The symbol, or `errno N` where it has none here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_has_a_symbol_or_says_its_number() {
        assert_eq!(Errno(Os::TIMEDOUT.raw_os_error()).to_string(), "ETIMEDOUT");
        assert_eq!(Errno(-7).to_string(), "errno -7");
        assert_eq!(Errno(0).name(), None);
    }
}
