//! Single fields of the wire, as values of the domain. Events and the rows of the listing share them.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use keepalive_ebpf::wire::{self, COMM_LEN};

use super::item::DecodeError;
use crate::event::{Errno, Family, State};

/// The name of a task from its NUL-padded bytes.
pub fn name(comm: &[u8; COMM_LEN]) -> Arc<str> {
    let name = comm.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into()
}

/// A positive errno.
pub fn errno(raw: u32) -> Errno {
    Errno(i32::try_from(raw).unwrap_or(i32::MAX))
}

/// `AF_INET` or `AF_INET6`.
///
/// # Errors
///
/// It is neither.
pub fn family(raw: u8) -> Result<Family, DecodeError> {
    match raw {
        wire::AF_INET => Ok(Family::Ipv4),
        wire::AF_INET6 => Ok(Family::Ipv6),
        unknown => Err(DecodeError::Family(unknown)),
    }
}

/// On the wire an IPv4 address is v4-mapped. So any v4-mapped address becomes IPv4.
pub fn address(raw: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(raw).to_canonical()
}

/// The states of include/net/tcp_states.h.
///
/// # Errors
///
/// No state has this number.
pub fn state(raw: u8) -> Result<State, DecodeError> {
    Ok(match raw {
        1 => State::Established,
        2 => State::SynSent,
        3 => State::SynRecv,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        7 => State::Close,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listen,
        11 => State::Closing,
        12 => State::NewSynRecv,
        unknown => return Err(DecodeError::State(unknown)),
    })
}
