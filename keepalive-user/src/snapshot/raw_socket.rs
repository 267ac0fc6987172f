//! One socket as a reader found it, and the row that is made of it: the same for every reader.

use std::{net::SocketAddr, sync::Arc};

use super::{Namespace, Origin, Row, Setting, timeouts};
use crate::event::{Family, Owner, State};

/// The kernel's own settings: TCP_KEEPALIVE_TIME, _INTVL and _PROBES of include/net/tcp.h.
const KEEPIDLE_MS: u64 = 7_200_000;
const KEEPINTVL_MS: u64 = 75_000;
const KEEPCNT: u32 = 9;

/// One socket, before the settings of its namespace and its owner are added.
#[derive(Clone, Debug, PartialEq)]
pub struct RawSocket {
    pub family: Family,
    pub local: SocketAddr,
    pub peer: SocketAddr,
    pub state: State,
    /// `None` = no file refers to it.
    pub inode: Option<u64>,
    /// `None` = not known.
    pub keepalive: Option<bool>,
    /// `None` = not known.
    pub own: Option<OwnSettings>,
    /// Milliseconds until the keepalive timer expires; `None` when it is not known to run.
    pub timer_ms: Option<u64>,
    pub unanswered: u32,
    /// Milliseconds since the peer was heard, by the kernel's timestamps; may be set in any state.
    pub silence_ms: Option<u64>,
    pub unacked_bytes: u32,
    pub rto_ms: u32,
    /// How often `rto_ms` was doubled.
    pub backoff: u8,
    /// The longest retransmission timeout; `None` = the namespace's.
    pub rto_max_ms: Option<u32>,
}

/// What was set on the socket itself; `None` = the namespace's value acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnSettings {
    pub keepidle_ms: Option<u64>,
    pub keepintvl_ms: Option<u64>,
    pub keepcnt: Option<u32>,
    /// 0 = unset.
    pub user_timeout_ms: u32,
}

/// A network namespace, with the sysctls that only the computed times need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    pub namespace: Namespace,
    /// `net.ipv4.tcp_orphan_retries`.
    pub orphan_retries: u32,
    /// `net.ipv4.tcp_rto_max_ms`; where that does not exist, the kernel's constant.
    pub rto_max_ms: u32,
}

/// What makes a socket the same one in two readings.
pub type Key = (Option<u64>, SocketAddr, SocketAddr);

/// The settings that act on a socket.
#[derive(Clone, Copy)]
struct Effective {
    keepidle_ms: Setting<u64>,
    keepintvl_ms: Setting<u64>,
    keepcnt: Setting<u32>,
    user_timeout_ms: Setting<u32>,
}

impl RawSocket {
    pub fn key(&self) -> Key {
        (self.inode, self.local, self.peer)
    }

    /// The row of this socket.
    pub fn row(self, of: &Defaults, owner: Arc<Owner>) -> Row {
        let orphan = timeouts::is_orphan(self.state, self.inode);
        let keepalive_acts = timeouts::keepalive_acts(self.state, orphan);
        let connected = keepalive_acts || timeouts::may_have_unacked(self.state);
        let silence_ms = self.silence_ms.filter(|_| connected);
        // Where nobody could be asked, a running timer shows it: in these states only keepalive starts it.
        let keepalive = self
            .keepalive
            .or((keepalive_acts && self.timer_ms.is_some()).then_some(true));
        let set = self.own.map(|own| own.effective(&of.namespace));
        let probing = set.filter(|_| keepalive_acts && keepalive == Some(true));
        Row {
            family: self.family,
            laddr: self.local.ip(),
            lport: self.local.port(),
            raddr: self.peer.ip(),
            rport: self.peer.port(),
            state: self.state,
            netns: of.namespace.netns,
            inode: self.inode,
            owner,
            keepalive,
            keepidle_ms: set.map(|set| set.keepidle_ms),
            keepintvl_ms: set.map(|set| set.keepintvl_ms),
            keepcnt: set.map(|set| set.keepcnt),
            user_timeout_ms: set.map(|set| set.user_timeout_ms),
            next_probe_ms: self.timer_ms.zip(probing).map(|(timer_ms, set)| {
                timeouts::next_probe_ms(timer_ms, set.keepidle_ms.value, silence_ms)
            }),
            unanswered: self.unanswered,
            silence_ms,
            unacked_bytes: self.unacked_bytes,
            rto_ms: if connected || self.state == State::SynSent {
                self.rto_ms
            } else {
                0
            },
            detect_idle_ms: probing.map(Effective::detect_idle_ms),
            detect_data_ms: set
                .filter(|_| timeouts::may_have_unacked(self.state))
                .map(|set| self.detect_data_ms(set, of, orphan)),
        }
    }

    /// Until a dead peer is noticed once data is in flight, in milliseconds.
    fn detect_data_ms(&self, set: Effective, of: &Defaults, orphan: bool) -> u64 {
        let retries = if orphan {
            timeouts::orphan_retries(of.orphan_retries)
        } else {
            of.namespace.retries2
        };
        let rto_max_ms = self.rto_max_ms.unwrap_or(of.rto_max_ms);
        match set.user_timeout_ms.value {
            0 => timeouts::data_ms(self.rto_ms.into(), self.backoff, retries, rto_max_ms),
            timeout_ms => timeout_ms.into(),
        }
    }
}

impl OwnSettings {
    /// The socket's own values where it has them, else those of its namespace.
    fn effective(self, netns: &Namespace) -> Effective {
        let user_timeout_ms = (self.user_timeout_ms != 0).then_some(self.user_timeout_ms);
        Effective {
            keepidle_ms: setting(self.keepidle_ms, netns.keepidle_ms, KEEPIDLE_MS),
            keepintvl_ms: setting(self.keepintvl_ms, netns.keepintvl_ms, KEEPINTVL_MS),
            keepcnt: setting(self.keepcnt, netns.keepcnt, KEEPCNT),
            // No sysctl gives it.
            user_timeout_ms: setting(user_timeout_ms, 0, 0),
        }
    }
}

impl Effective {
    /// Until a dead peer is noticed while the connection is idle, in milliseconds.
    fn detect_idle_ms(self) -> u64 {
        timeouts::idle_ms(
            self.keepidle_ms.value,
            self.keepintvl_ms.value,
            self.keepcnt.value,
            self.user_timeout_ms.value,
        )
    }
}

fn setting<T: PartialEq>(own: Option<T>, netns: T, default: T) -> Setting<T> {
    match own {
        Some(value) => Setting {
            value,
            from: Origin::Socket,
        },
        None if netns == default => Setting {
            value: netns,
            from: Origin::Default,
        },
        None => Setting {
            value: netns,
            from: Origin::Netns,
        },
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn defaults() -> Defaults {
        Defaults {
            namespace: Namespace {
                netns: 4_026_531_840,
                keepidle_ms: 600_000,
                keepintvl_ms: 75_000,
                keepcnt: 9,
                retries2: 15,
                own: true,
            },
            orphan_retries: 0,
            rto_max_ms: timeouts::RTO_MAX_MS,
        }
    }

    pub fn raw_socket() -> RawSocket {
        RawSocket {
            family: Family::Ipv4,
            local: "198.18.0.1:40000".parse().unwrap(),
            peer: "198.18.0.2:5432".parse().unwrap(),
            state: State::Established,
            inode: Some(7),
            keepalive: Some(true),
            own: Some(OwnSettings {
                keepidle_ms: None,
                keepintvl_ms: None,
                keepcnt: Some(3),
                user_timeout_ms: 0,
            }),
            timer_ms: Some(1000),
            unanswered: 0,
            silence_ms: Some(2000),
            unacked_bytes: 0,
            rto_ms: 204,
            backoff: 0,
            rto_max_ms: None,
        }
    }

    fn row(socket: RawSocket) -> Row {
        socket.row(&defaults(), Arc::default())
    }

    /// An established connection that nobody is known to hold.
    pub fn some_row() -> Row {
        row(raw_socket())
    }

    #[test]
    fn each_value_says_where_it_comes_from() {
        let row = row(raw_socket());
        let from = |origin: Origin| Some(origin);
        assert_eq!(row.keepidle_ms.map(|s| s.from), from(Origin::Netns));
        assert_eq!(row.keepintvl_ms.map(|s| s.from), from(Origin::Default));
        assert_eq!(row.keepcnt.map(|s| s.from), from(Origin::Socket));
        assert_eq!(row.user_timeout_ms.map(|s| s.from), from(Origin::Default));
        // 600 + 3 × 75 = 825 s; heard 2 s ago, so the next probe is 598 s away.
        assert_eq!(row.detect_idle_ms, Some(825_000));
        assert_eq!(row.next_probe_ms, Some(598_000));
    }

    #[test]
    fn a_listener_hands_its_settings_out_but_detects_nothing() {
        let row = row(RawSocket {
            state: State::Listen,
            silence_ms: Some(9),
            ..raw_socket()
        });
        assert_eq!(row.keepalive, Some(true));
        assert_eq!(row.keepcnt.map(|s| s.value), Some(3));
        assert_eq!((row.detect_idle_ms, row.detect_data_ms), (None, None));
        assert_eq!((row.next_probe_ms, row.silence_ms), (None, None));
        assert_eq!(row.rto_ms, 0);
    }

    #[test]
    fn without_a_holder_only_the_timer_tells_of_keepalive() {
        let unknown = RawSocket {
            keepalive: None,
            own: None,
            ..raw_socket()
        };
        let seen = row(unknown.clone());
        assert_eq!(seen.keepalive, Some(true));
        assert!(seen.keepidle_ms.is_none() && seen.next_probe_ms.is_none());
        assert_eq!((seen.detect_idle_ms, seen.detect_data_ms), (None, None));
        let hidden = RawSocket {
            timer_ms: None,
            ..unknown
        };
        assert_eq!(row(hidden).keepalive, None);
    }

    #[test]
    fn keepalive_off_never_notices() {
        let row = row(RawSocket {
            keepalive: Some(false),
            timer_ms: None,
            ..raw_socket()
        });
        assert_eq!(row.detect_idle_ms, None);
        assert_eq!(row.detect_data_ms, Some(928_692));
    }
}
