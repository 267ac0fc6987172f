//! What a reader found of one socket, and the row that comes of it: the same for every reader.

use std::{net::SocketAddr, sync::Arc};

use super::{Namespace, Origin, Row, Setting, detect};
use crate::event::{Family, Owner, State};

/// The kernel's own settings: TCP_KEEPALIVE_TIME, _INTVL and _PROBES of include/net/tcp.h.
const KEEPIDLE_MS: u64 = 7_200_000;
const KEEPINTVL_MS: u64 = 75_000;
const KEEPCNT: u32 = 9;

/// One socket, before its namespace and its holders are brought in.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub family: Family,
    pub local: SocketAddr,
    pub peer: SocketAddr,
    pub state: State,
    pub inode: Option<u64>,
    /// `None` = not known.
    pub keepalive: Option<bool>,
    /// `None` = not known.
    pub own: Option<Own>,
    /// Until the keepalive timer expires; `None` when it is not known to run.
    pub timer_ms: Option<u64>,
    pub unanswered: u32,
    /// As the kernel's stamps have it, whatever the state.
    pub silence_ms: Option<u64>,
    pub unacked_bytes: u32,
    pub rto_ms: u32,
    pub backoff: u8,
    /// `None` = the namespace's.
    pub rto_max_ms: Option<u32>,
}

/// What was set on the socket itself; `None` = the namespace's value acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    pub keepidle_ms: Option<u64>,
    pub keepintvl_ms: Option<u64>,
    pub keepcnt: Option<u32>,
    /// 0 = unset.
    pub user_timeout_ms: u32,
}

/// A network namespace, with what only the arithmetic needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    pub namespace: Namespace,
    /// `net.ipv4.tcp_orphan_retries`.
    pub orphan_retries: u32,
    /// `net.ipv4.tcp_rto_max_ms`, or the kernel's constant before there was one.
    pub rto_max_ms: u32,
}

/// What a socket is known again by.
pub type Key = (Option<u64>, SocketAddr, SocketAddr);

impl Facts {
    pub fn key(&self) -> Key {
        (self.inode, self.local, self.peer)
    }

    /// The row of this socket.
    pub fn row(self, of: &Defaults, owner: Arc<Owner>) -> Row {
        let netns = &of.namespace;
        let orphan = detect::is_orphan(self.state, self.inode);
        let keepidle_ms = self
            .own
            .map(|own| setting(own.keepidle_ms, netns.keepidle_ms, KEEPIDLE_MS));
        let keepintvl_ms = self
            .own
            .map(|own| setting(own.keepintvl_ms, netns.keepintvl_ms, KEEPINTVL_MS));
        let keepcnt = self
            .own
            .map(|own| setting(own.keepcnt, netns.keepcnt, KEEPCNT));
        let user_timeout_ms = self.own.map(|own| match own.user_timeout_ms {
            0 => setting(None, 0, 0),
            set => setting(Some(set), 0, 0),
        });
        let acts = detect::has_keepalive(self.state, orphan);
        let rto_max_ms = self.rto_max_ms.unwrap_or(of.rto_max_ms);
        let connected = acts || detect::has_data(self.state);
        let silence_ms = self.silence_ms.filter(|_| connected);
        // Nobody holds it, and yet its timer runs: in these states only keepalive starts it.
        let keepalive = self
            .keepalive
            .or((acts && self.timer_ms.is_some()).then_some(true));
        let probes = acts && keepalive == Some(true);
        let retries = if orphan {
            detect::orphan_retries(of.orphan_retries)
        } else {
            netns.retries2
        };
        Row {
            family: self.family,
            laddr: self.local.ip(),
            lport: self.local.port(),
            raddr: self.peer.ip(),
            rport: self.peer.port(),
            state: self.state,
            netns: netns.netns,
            inode: self.inode,
            owner,
            keepalive,
            keepidle_ms,
            keepintvl_ms,
            keepcnt,
            user_timeout_ms,
            next_probe_ms: match (self.timer_ms, keepidle_ms) {
                (Some(timer), Some(idle)) if probes => {
                    Some(detect::next_probe(timer, idle.value, silence_ms))
                }
                _ => None,
            },
            unanswered: self.unanswered,
            silence_ms,
            unacked_bytes: self.unacked_bytes,
            rto_ms: if connected || self.state == State::SynSent {
                self.rto_ms
            } else {
                0
            },
            detect_idle_ms: match (keepidle_ms, keepintvl_ms, keepcnt, user_timeout_ms) {
                (Some(idle), Some(intvl), Some(cnt), Some(timeout)) if probes => Some(
                    detect::idle(idle.value, intvl.value, cnt.value, timeout.value),
                ),
                _ => None,
            },
            detect_data_ms: match user_timeout_ms {
                Some(timeout) if detect::has_data(self.state) => Some(match timeout.value {
                    0 => detect::data(self.rto_ms.into(), self.backoff, retries, rto_max_ms),
                    set => set.into(),
                }),
                _ => None,
            },
        }
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
            rto_max_ms: detect::RTO_MAX_MS,
        }
    }

    pub fn facts() -> Facts {
        Facts {
            family: Family::Ipv4,
            local: "198.18.0.1:40000".parse().unwrap(),
            peer: "198.18.0.2:5432".parse().unwrap(),
            state: State::Established,
            inode: Some(7),
            keepalive: Some(true),
            own: Some(Own {
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

    fn row(facts: Facts) -> Row {
        facts.row(&defaults(), Arc::default())
    }

    /// An established connection that nobody is known to hold.
    pub fn some_row() -> Row {
        row(facts())
    }

    #[test]
    fn each_value_says_where_it_comes_from() {
        let row = row(facts());
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
        let row = row(Facts {
            state: State::Listen,
            silence_ms: Some(9),
            ..facts()
        });
        assert_eq!(row.keepalive, Some(true));
        assert_eq!(row.keepcnt.map(|s| s.value), Some(3));
        assert_eq!((row.detect_idle_ms, row.detect_data_ms), (None, None));
        assert_eq!((row.next_probe_ms, row.silence_ms), (None, None));
        assert_eq!(row.rto_ms, 0);
    }

    #[test]
    fn what_nobody_holds_is_unknown_but_for_its_timer() {
        let unknown = Facts {
            keepalive: None,
            own: None,
            ..facts()
        };
        let seen = row(unknown.clone());
        assert_eq!(seen.keepalive, Some(true));
        assert!(seen.keepidle_ms.is_none() && seen.next_probe_ms.is_none());
        assert_eq!((seen.detect_idle_ms, seen.detect_data_ms), (None, None));
        let hidden = Facts {
            timer_ms: None,
            ..unknown
        };
        assert_eq!(row(hidden).keepalive, None);
    }

    #[test]
    fn keepalive_off_never_notices() {
        let row = row(Facts {
            keepalive: Some(false),
            timer_ms: None,
            ..facts()
        });
        assert_eq!(row.detect_idle_ms, None);
        assert_eq!(row.detect_data_ms, Some(928_692));
    }
}
