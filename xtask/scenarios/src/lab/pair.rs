//! Two hosts: our network namespace, the peer's, and a pair of virtual interfaces between them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Netns,
    link::{self, End, Fate},
};

// 198.18.0.0/15 is set aside for bench work (RFC 2544), fd00::/8 for private use.
pub const OURS4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
pub const PEER4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2));
/// On the wire's subnet, and nobody's.
pub const SILENT4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 9));
pub const OURS6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x6b61, 0, 0, 0, 0, 0, 1));
pub const PEER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x6b61, 0, 0, 0, 0, 0, 2));

const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Every accepted connection waits here; load needs room for thousands.
const BACKLOG: i32 = 4096;

pub struct Pair {
    pub ours: Netns,
    pub peer: Netns,
}

impl Pair {
    pub fn new() -> Result<Self> {
        let pair = Self {
            ours: Netns::new()?,
            peer: Netns::new()?,
        };
        for netns in [&pair.ours, &pair.peer] {
            for scope in ["all", "default"] {
                // Addresses are usable at once, and a blackhole towards us still lets packets in.
                netns.sysctl(&format!("ipv6/conf/{scope}/accept_dad"), 0)?;
                netns.sysctl(&format!("ipv4/conf/{scope}/rp_filter"), 0)?;
            }
            netns.sysctl("core/somaxconn", BACKLOG)?;
            netns.sysctl("ipv4/tcp_max_syn_backlog", BACKLOG)?;
        }
        link::join(
            &End {
                netns: &pair.ours,
                mac: OUR_MAC,
                addresses: &[(OURS4, 24), (OURS6, 64)],
            },
            &End {
                netns: &pair.peer,
                mac: PEER_MAC,
                addresses: &[(PEER4, 24), (PEER6, 64)],
            },
        )?;
        for address in [PEER4, PEER6, SILENT4] {
            link::neighbour(&pair.ours, address, PEER_MAC)?;
        }
        for address in [OURS4, OURS6] {
            link::neighbour(&pair.peer, address, OUR_MAC)?;
        }
        Ok(pair)
    }

    /// The peer goes silent: it still receives, but nothing leaves it, not even a RST.
    pub fn vanish(&self) -> Result<()> {
        for ours in [OURS4, OURS6] {
            link::add_route(&self.peer, ours, Fate::Blackhole)?;
        }
        Ok(())
    }

    pub fn come_back(&self) -> Result<()> {
        for ours in [OURS4, OURS6] {
            link::delete_route(&self.peer, ours, Fate::Blackhole)?;
        }
        Ok(())
    }

    /// We lose the way to the peer.
    pub fn lose_route(&self) -> Result<()> {
        for peer in [PEER4, PEER6] {
            link::add_route(&self.ours, peer, Fate::Unreachable)?;
        }
        Ok(())
    }

    /// A listener of the peer for both families. Its kernel accepts and acknowledges by itself.
    pub fn listen(&self, port: u16) -> Result<TcpListener> {
        self.listen_as(Protocol::TCP, port, None)
    }

    pub fn listen_with(&self, port: u16, receive_buffer: Option<usize>) -> Result<TcpListener> {
        self.listen_as(Protocol::TCP, port, receive_buffer)
    }

    pub fn listen_multipath(&self, port: u16) -> Result<TcpListener> {
        self.listen_as(Protocol::MPTCP, port, None)
    }

    fn listen_as(
        &self,
        protocol: Protocol,
        port: u16,
        receive_buffer: Option<usize>,
    ) -> Result<TcpListener> {
        self.peer.within(|| {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(protocol))?;
            socket.set_only_v6(false)?;
            socket.set_reuse_address(true)?;
            if let Some(bytes) = receive_buffer {
                socket.set_recv_buffer_size(bytes)?;
            }
            let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            socket
                .bind(&any.into())
                .with_context(|| format!("bind the peer's port {port}"))?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
    }

    /// A client on the peer's host.
    pub fn dial(&self, to: SocketAddr) -> Result<TcpStream> {
        self.peer.within(|| {
            TcpStream::connect_timeout(&to, Duration::from_secs(20))
                .with_context(|| format!("connect the peer to {to}"))
        })
    }
}

/// Accepts one connection in bounded time.
pub fn accept(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => bail!(error),
            Err(_) if Instant::now() > limit => bail!("no connection reached the peer"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
