//! Links, addresses, neighbours and routes, over netlink: a guest has no `ip` command.

use std::{future::Future, net::IpAddr};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;
use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_route::{
        link::{InfoData, InfoVeth},
        neighbour::NeighbourState,
        route::{RouteMessage, RouteType},
    },
};

use super::Netns;

pub const DEVICE: &str = "veth";

/// One end of the pair: its namespace, MAC address and IP addresses.
pub struct End<'a> {
    pub netns: &'a Netns,
    pub mac: [u8; 6],
    pub addresses: &'a [(IpAddr, u8)],
}

/// Joins the two namespaces, each end named [`DEVICE`] there.
pub fn join(one: &End, other: &End) -> Result<()> {
    let far = LinkMessageBuilder::<LinkUnspec>::new()
        .name(DEVICE)
        .address(other.mac.to_vec())
        .setns_by_fd(other.netns.raw_fd())
        .build();
    let near = LinkMessageBuilder::<LinkVeth>::new(DEVICE, DEVICE)
        .address(one.mac.to_vec())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
        .build();
    netlink(one.netns, async |handle: Handle| {
        handle
            .link()
            .add(near)
            .execute()
            .await
            .context("add a veth pair")
    })?;
    dress(one)?;
    dress(other)
}

/// `lo` of the current namespace.
pub fn loopback_up() -> Result<()> {
    converse(async |handle: Handle| set_up(&handle, "lo").await)
}

async fn set_up(handle: &Handle, name: &str) -> Result<()> {
    let index = if_nametoindex(name).with_context(|| format!("find the link {name}"))?;
    let up = LinkUnspec::new_with_index(index).up().build();
    handle
        .link()
        .set(up)
        .execute()
        .await
        .with_context(|| format!("set {name} up"))
}

fn dress(end: &End) -> Result<()> {
    netlink(end.netns, async |handle: Handle| {
        set_up(&handle, "lo").await?;
        set_up(&handle, DEVICE).await?;
        let device = if_nametoindex(DEVICE)?;
        for (address, prefix) in end.addresses {
            let request = handle.address().add(device, *address, *prefix);
            request
                .execute()
                .await
                .with_context(|| format!("add the address {address}"))?;
        }
        Ok(())
    })
}

/// A permanent neighbour, so that silence never turns into a failed address resolution.
pub fn neighbour(netns: &Netns, address: IpAddr, mac: [u8; 6]) -> Result<()> {
    netlink(netns, async |handle: Handle| {
        let device = if_nametoindex(DEVICE)?;
        let request = handle
            .neighbours()
            .add(device, address)
            .link_layer_address(&mac);
        let request = request.state(NeighbourState::Permanent).replace();
        request
            .execute()
            .await
            .with_context(|| format!("add the neighbour {address}"))
    })
}

/// What a host route does with packets.
#[derive(Clone, Copy)]
pub enum Fate {
    /// Dropped silently.
    Blackhole,
    /// Refused to the sender as unreachable.
    Unreachable,
}

pub fn add_route(netns: &Netns, to: IpAddr, fate: Fate) -> Result<()> {
    netlink(netns, async |handle: Handle| {
        let request = handle.route().add(host_route(to, fate)?);
        request
            .execute()
            .await
            .with_context(|| format!("add a route to {to}"))
    })
}

pub fn delete_route(netns: &Netns, to: IpAddr, fate: Fate) -> Result<()> {
    netlink(netns, async |handle: Handle| {
        let request = handle.route().del(host_route(to, fate)?);
        request
            .execute()
            .await
            .with_context(|| format!("delete a route to {to}"))
    })
}

fn host_route(to: IpAddr, fate: Fate) -> Result<RouteMessage> {
    let kind = match fate {
        Fate::Blackhole => RouteType::BlackHole,
        Fate::Unreachable => RouteType::Unreachable,
    };
    let prefix = if to.is_ipv4() { 32 } else { 128 };
    let route = RouteMessageBuilder::<IpAddr>::new().destination_prefix(to, prefix)?;
    Ok(route.kind(kind).build())
}

/// Runs one conversation with rtnetlink inside the namespace.
fn netlink<T: Send, F: Future<Output = Result<T>>>(
    netns: &Netns,
    talk: impl FnOnce(Handle) -> F + Send,
) -> Result<T> {
    netns.within(|| converse(talk))
}

fn converse<T, F: Future<Output = Result<T>>>(talk: impl FnOnce(Handle) -> F) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (connection, handle, _) =
            rtnetlink::new_connection().context("open an rtnetlink socket")?;
        tokio::spawn(connection);
        talk(handle).await
    })
}
