//! Sockets through sock_diag (sock_diag(7)), for kernels that refuse the iterator.
//!
//! The kernel lists sockets with their timers, but without their keepalive settings. Those come from getsockopt(2)
//! on a copy of a descriptor of a process that holds the socket (`options`).

pub mod cgroup;
pub mod options;

use std::net::SocketAddr;

use netlink_packet_core::{
    Emitable, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, Timer, nlas::Nla},
};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};

use super::raw_socket::RawSocket;
use crate::{
    decode::{self, DecodeError},
    event::{Family, State},
    source::HostError,
};

/// Bytes: twice what the kernel puts into one message of a dump.
const BUFFER: usize = 64 * 1024;
/// `INET_DIAG_CGROUP_ID` of include/uapi/linux/inet_diag.h.
const CGROUP_ID: u16 = 21;

/// Offsets in `struct tcp_info` (include/uapi/linux/tcp.h), which is ABI: fields are only added at its end.
mod tcp_info {
    pub const PROBES: usize = 3;
    pub const BACKOFF: usize = 4;
    /// In microseconds.
    pub const RTO: usize = 8;
    /// In milliseconds, like the next.
    pub const LAST_DATA_RECV: usize = 52;
    pub const LAST_ACK_RECV: usize = 56;
}

/// A sock_diag socket. It lists the sockets of the namespace in which it was opened.
pub struct Diag {
    socket: Socket,
    netns: u32,
    buffer: Vec<u8>,
}

/// One socket as sock_diag tells it.
pub struct DiagSocket {
    /// Its keepalive settings are not known.
    pub socket: RawSocket,
    /// Id of the cgroup in which it was created (since 5.7, with control groups compiled in).
    pub cgroup: Option<u64>,
}

impl Diag {
    /// Opens it in the calling thread's namespace, whose inode is `netns`.
    ///
    /// # Errors
    ///
    /// The kernel has no sock_diag.
    pub fn open(netns: u32) -> Result<Self, HostError> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG).map_err(|error| failed(netns, &error))?;
        socket.bind_auto().map_err(|error| failed(netns, &error))?;
        Ok(Self {
            socket,
            netns,
            buffer: vec![0; BUFFER],
        })
    }

    /// Hands over every socket, IPv4 ones first, until `each` answers false.
    ///
    /// # Errors
    ///
    /// The kernel refuses, its answer makes no sense, or `each` fails.
    pub fn list(
        &mut self,
        mut each: impl FnMut(DiagSocket) -> Result<bool, HostError>,
    ) -> Result<(), HostError> {
        for (family, id) in [
            (AF_INET, SocketId::new_v4()),
            (AF_INET6, SocketId::new_v6()),
        ] {
            // Connection requests have NEW_SYN_RECV as their state, which is not among these.
            self.ask(family, id, StateFlags::all() - StateFlags::TIME_WAIT)?;
            if !self.answers(&mut each)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The first connections of each family in the table of the calling thread's namespace: at most `max` of each.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or its answer makes no sense.
    pub fn first_connections(netns: u32, max: usize) -> Result<Vec<DiagSocket>, HostError> {
        let mut found = Vec::new();
        for (family, id) in [
            (AF_INET, SocketId::new_v4()),
            (AF_INET6, SocketId::new_v6()),
        ] {
            // After a dump that was not read to its end the same socket takes no second one.
            let mut diag = Self::open(netns)?;
            diag.ask(
                family,
                id,
                StateFlags::all() - StateFlags::TIME_WAIT - StateFlags::LISTEN,
            )?;
            let mut left = max;
            diag.answers(&mut |socket| {
                found.push(socket);
                left -= 1;
                Ok(left > 0)
            })?;
        }
        Ok(found)
    }

    fn ask(&self, family: u8, socket_id: SocketId, states: StateFlags) -> Result<(), HostError> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::INFO,
            states,
            socket_id,
        };
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; Emitable::buffer_len(&message)];
        message.serialize(&mut bytes);
        self.socket
            .send(&bytes, 0)
            .map(drop)
            .map_err(|error| failed(self.netns, &error))
    }

    /// Reads the answers to a request. False when `each` stopped it before the end.
    fn answers(
        &mut self,
        each: &mut impl FnMut(DiagSocket) -> Result<bool, HostError>,
    ) -> Result<bool, HostError> {
        let netns = self.netns;
        loop {
            let received = self
                .socket
                .recv(&mut &mut self.buffer[..], 0)
                .map_err(|error| failed(netns, &error))?;
            let mut rest = self.buffer.get(..received).unwrap_or_default();
            while !rest.is_empty() {
                let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
                    .map_err(|error| failed(netns, &error))?;
                match message.payload {
                    NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                        let socket =
                            parse(&response).map_err(|error| HostError::Row(error.to_string()))?;
                        if let Some(socket) = socket
                            && !each(socket)?
                        {
                            return Ok(false);
                        }
                    }
                    NetlinkPayload::Done(_) => return Ok(true),
                    NetlinkPayload::Error(error) => return Err(failed(netns, &error.to_io())),
                    NetlinkPayload::Noop => {}
                    _ => return Err(failed(netns, &"an answer of an unknown kind")),
                }
                let length = (message.header.length as usize).next_multiple_of(4).max(4);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
}

fn failed(netns: u32, cause: &dyn std::fmt::Display) -> HostError {
    HostError::Diag {
        netns,
        cause: cause.to_string(),
    }
}

/// `None` for a connection in TIME_WAIT. Its state may say FIN_WAIT2, so its timer tells.
fn parse(response: &InetResponse) -> Result<Option<DiagSocket>, DecodeError> {
    let header = &response.header;
    let timer_ms = match &header.timer {
        Some(Timer::TimeWait) => return Ok(None),
        Some(Timer::KeepAlive(left)) => u64::try_from(left.as_millis()).ok(),
        Some(Timer::Retransmit(..) | Timer::Probe(_)) | None => None,
    };
    let state = decode::state(header.state)?;
    let id = &header.socket_id;
    let (laddr, raddr) = (
        id.source_address.to_canonical(),
        id.destination_address.to_canonical(),
    );
    let family = match decode::family(header.family)? {
        // An IPv6 socket with an IPv4 connection: the packets are IPv4.
        Family::Ipv6 if raddr.is_ipv4() => Family::Ipv4,
        family => family,
    };
    let (info, cgroup) = attributes(response);
    let byte = |at: usize| info.get(at).copied();
    let word = |at: usize| Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?));
    let data = word(tcp_info::LAST_DATA_RECV);
    let ack = word(tcp_info::LAST_ACK_RECV);
    let socket = RawSocket {
        family,
        local: SocketAddr::new(laddr, id.source_port),
        peer: SocketAddr::new(raddr, id.destination_port),
        state,
        inode: (header.inode != 0).then_some(header.inode.into()),
        keepalive: None,
        own: None,
        timer_ms,
        unanswered: byte(tcp_info::PROBES).unwrap_or(0).into(),
        silence_ms: data.min(ack).or(data).or(ack).map(u64::from),
        // For a listener this number is the length of its backlog.
        unacked_bytes: if state == State::Listen {
            0
        } else {
            header.send_queue
        },
        rto_ms: word(tcp_info::RTO).unwrap_or(0) / 1000,
        backoff: byte(tcp_info::BACKOFF).unwrap_or(0),
        rto_max_ms: None,
    };
    Ok(Some(DiagSocket { socket, cgroup }))
}

/// `struct tcp_info` (empty where there is none) and the id of the cgroup.
fn attributes(response: &InetResponse) -> (&[u8], Option<u64>) {
    let mut info: &[u8] = &[];
    let mut cgroup = None;
    for attribute in &response.nlas {
        match attribute {
            Nla::TcpInfo(bytes) => info = bytes,
            Nla::Other(other) if netlink_packet_core::Nla::kind(other) == CGROUP_ID => {
                let mut id = [0; 8];
                if netlink_packet_core::Nla::value_len(other) == id.len() {
                    netlink_packet_core::Nla::emit_value(other, &mut id);
                    cgroup = Some(u64::from_ne_bytes(id));
                }
            }
            _ => {}
        }
    }
    (info, cgroup)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::{fd::AsRawFd, linux::fs::MetadataExt},
    };

    use super::*;

    #[test]
    fn lists_a_connection_and_a_listener_of_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let inode = |fd: i32| {
            let path = format!("/proc/self/fd/{fd}");
            std::fs::metadata(path).unwrap().st_ino()
        };
        let mut found = Vec::new();
        let mut diag = Diag::open(0).unwrap();
        diag.list(|listed| {
            found.push(listed.socket);
            Ok(true)
        })
        .unwrap();
        let of = |fd: i32| found.iter().find(|socket| socket.inode == Some(inode(fd)));
        let listening = of(listener.as_raw_fd()).unwrap();
        assert_eq!(listening.state, State::Listen);
        assert_eq!((listening.unacked_bytes, listening.peer.port()), (0, 0));
        let connected = of(stream.as_raw_fd()).unwrap();
        assert_eq!(connected.state, State::Established);
        assert_eq!(connected.local, stream.local_addr().unwrap());
        assert_eq!(connected.peer, stream.peer_addr().unwrap());
        assert!(connected.rto_ms >= 200, "{} ms", connected.rto_ms);
        assert!(connected.own.is_none() && connected.keepalive.is_none());
    }
}
