//! The iterator's bytes to facts: pure.

use std::net::SocketAddr;

use keepalive_ebpf::wire::{NEVER, ROW_SIZE, Row, STOPPED, row::flag};

use super::facts::{Facts, Own};
use crate::decode::{self, DecodeError};

/// Reads one row and the inode of its namespace. `hz` is jiffies per second.
///
/// # Errors
///
/// The bytes are not a row of this version.
pub fn facts(bytes: &[u8; ROW_SIZE], hz: u32) -> Result<(u32, Facts), DecodeError> {
    // SAFETY: the array is exactly as long as a row, all of whose fields are integers or arrays of
    // them, so any bytes are valid; the read does not ask for alignment.
    let row = unsafe { bytes.as_ptr().cast::<Row>().read_unaligned() };
    if usize::from(row.size) != ROW_SIZE {
        return Err(DecodeError::Size(row.size));
    }
    let ms = |jiffies: u32| u64::from(jiffies) * 1000 / u64::from(hz.max(1));
    let short = |jiffies: u32| u32::try_from(ms(jiffies)).unwrap_or(u32::MAX);
    let set = |value: u32| (value != 0).then_some(value);
    let facts = Facts {
        family: decode::family(row.family)?,
        local: SocketAddr::new(decode::address(row.laddr.bytes()), row.lport),
        peer: SocketAddr::new(decode::address(row.raddr.bytes()), row.rport),
        state: decode::state(row.state)?,
        inode: (row.inode != 0).then_some(row.inode),
        keepalive: Some(row.flags & flag::KEEPALIVE != 0),
        own: Some(Own {
            keepidle_ms: set(row.keepidle).map(ms),
            keepintvl_ms: set(row.keepintvl).map(ms),
            keepcnt: set(row.keepcnt),
            user_timeout_ms: row.user_timeout,
        }),
        timer_ms: (row.timer != STOPPED).then(|| ms(row.timer)),
        unanswered: row.unanswered,
        silence_ms: (row.silence != NEVER).then(|| ms(row.silence)),
        unacked_bytes: row.unacked,
        rto_ms: short(row.rto),
        backoff: row.backoff,
        rto_max_ms: set(row.rto_max).map(short),
    };
    Ok((row.netns, facts))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Family, State};

    /// An established IPv4 socket of a kernel with 250 jiffies a second.
    fn bytes() -> [u8; ROW_SIZE] {
        let mut bytes = [0; ROW_SIZE];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &7u64.to_ne_bytes());
        put(18, &[0xff, 0xff, 198, 18, 0, 1]);
        put(34, &[0xff, 0xff, 198, 18, 0, 2]);
        put(40, &(ROW_SIZE as u16).to_ne_bytes());
        put(42, &[2, 1, flag::KEEPALIVE, 0]);
        put(46, &40_000u16.to_ne_bytes());
        put(48, &5432u16.to_ne_bytes());
        put(52, &4_026_531_840u32.to_ne_bytes());
        put(56, &15_000u32.to_ne_bytes());
        put(72, &250u32.to_ne_bytes());
        put(76, &500u32.to_ne_bytes());
        put(88, &51u32.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_row_is_read_in_milliseconds() {
        let (netns, facts) = facts(&bytes(), 250).unwrap();
        assert_eq!(netns, 4_026_531_840);
        assert_eq!(
            (facts.family, facts.state),
            (Family::Ipv4, State::Established)
        );
        assert_eq!(facts.local.to_string(), "198.18.0.1:40000");
        assert_eq!(facts.peer.to_string(), "198.18.0.2:5432");
        // 15000 jiffies of 4 ms are 60 s.
        let own = facts.own.unwrap();
        assert_eq!((own.keepidle_ms, own.keepintvl_ms), (Some(60_000), None));
        assert_eq!((facts.timer_ms, facts.silence_ms), (Some(1000), Some(2000)));
        assert_eq!((facts.rto_ms, facts.rto_max_ms), (204, None));
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for (at, value) in [(40, 7), (42, 3), (43, 99)] {
            let mut bytes = bytes();
            bytes[at] = value;
            assert!(facts(&bytes, 250).is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::array::uniform32(any::<[u8; 3]>()), hz in any::<u32>()) {
            let mut row = [0; ROW_SIZE];
            row.copy_from_slice(bytes.as_flattened());
            row[40..42].copy_from_slice(&(ROW_SIZE as u16).to_ne_bytes());
            let _ = facts(&row, hz);
        }
    }
}
