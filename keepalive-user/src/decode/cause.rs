//! Why the kernel gave a connection up, from the state in which it left the socket.
//!
//! The rules follow the callers of `tcp_write_err` in net/ipv4/tcp_timer.c. The kernel reaches each
//! caller only with the sequence numbers and counts that are tested here.

use keepalive_ebpf::wire::Record;

use crate::event::{Cause, State};

/// The cause of a timeout record.
pub fn of(record: &Record, state: State, orphan: bool) -> Cause {
    match state {
        State::SynSent => return Cause::Connect,
        State::SynRecv | State::NewSynRecv => return Cause::Accept,
        State::Established
        | State::FinWait1
        | State::FinWait2
        | State::TimeWait
        | State::Close
        | State::CloseWait
        | State::LastAck
        | State::Listen
        | State::Closing => {}
    }
    let user_timeout = record.user_timeout != 0;
    if record.snd_nxt != record.snd_una {
        // With TCP_USER_TIMEOUT set, tcp_retries2 is not looked at (retransmits_timed_out).
        return if user_timeout {
            Cause::UserTimeout
        } else {
            Cause::Retransmit
        };
    }
    if record.write_seq != record.snd_nxt {
        // tcp_probe_timer looks at the user timeout and at tcp_retries2. For an orphan other limits
        // hold.
        let retries_left = record.unanswered < record.retries2;
        return if user_timeout && retries_left && !orphan {
            Cause::UserTimeout
        } else {
            Cause::ZeroWindow
        };
    }
    match (record.unanswered, user_timeout) {
        (0, _) => Cause::Other,
        (_, true) => Cause::UserTimeout,
        (_, false) => Cause::Keepalive,
    }
}
