//! What a message in the ring says: the first two bytes of each.
//!
//! The kind also decides the message's type, and so its length. Zero is no kind, so memory full of
//! zeros is never a valid message.

/// A keepalive probe was built. A [`super::Record`], as the next four.
pub const PROBE: u16 = 1;
/// The peer was heard again after probes had gone unanswered.
pub const ANSWERED: u16 = 2;
/// Keepalive was due while data was unacknowledged, so no probe went out.
pub const STALLED: u16 = 3;
/// The kernel gave the connection up (`tcp_write_err`).
pub const TIMEOUT: u16 = 4;
/// The peer sent RST (`tcp_reset`).
pub const RESET: u16 = 5;
/// A process received the error of a dead connection. A [`super::Noticed`].
pub const NOTICED: u16 = 6;
/// A process that holds sockets started another. A [`super::Notice`], as the next three.
pub const FORKED: u16 = 7;
/// A process changed its name, mostly by exec.
pub const RENAMED: u16 = 8;
/// A process ended.
pub const EXITED: u16 = 9;
/// A socket is gone. Sent only for sockets of which there were events.
pub const ENDED: u16 = 10;
