//! The user's filters and kinds of events, handed to the kernel half: as constants where one value is
//! enough, as maps where there are many.

use aya::{
    Ebpf,
    maps::{
        Array, HashMap, MapError,
        lpm_trie::{Key, LpmTrie},
    },
};
use ipnet::IpNet;
use keepalive_ebpf::wire::{
    AF_INET, AF_INET6, Config, Field,
    config::{PORT_WORDS, filter},
};

use crate::{
    event::Family,
    settings::{Events, Filters},
    source::{
        error::{BtfError, HostError},
        kernel_info::layout::KernelTypes,
    },
};

/// Checks that this kernel has the members that the filters compare.
///
/// # Errors
///
/// A cgroup is asked for and the kernel does not keep it where katrace knows.
pub fn check(filters: &Filters, types: &KernelTypes) -> Result<(), HostError> {
    let cgroup = [
        ("sk_cgrp_data in struct sock", types.layout.sk_cgroup),
        ("kn in struct cgroup", types.layout.cgroup_kn),
        ("id in struct kernfs_node", types.layout.kn_id),
    ];
    match cgroup
        .into_iter()
        .find(|(_, field)| *field == Field::default())
    {
        Some((name, _)) if filters.cgroup.is_some() => {
            Err(HostError::NoCgroup(BtfError::Missing(name.into())))
        }
        _ => Ok(()),
    }
}

/// Puts the kinds of events that are wanted into the constants.
pub fn apply_events(events: &Events, config: &mut Config) {
    config.events = events
        .needed()
        .fold(0, |bits, kind| bits | 1 << kind.facts().wire);
    config.answered_min = events.answered_min;
}

/// Puts the filters into the constants.
pub fn apply(filters: &Filters, config: &mut Config) {
    config.filters = [
        (!filters.pids.is_empty(), filter::PID),
        (!filters.lports.is_empty(), filter::LPORT),
        (!filters.rports.is_empty(), filter::RPORT),
        (!filters.nets.is_empty(), filter::ADDR),
        (filters.family.is_some(), filter::FAMILY),
        (filters.netns.is_some(), filter::NETNS),
        (filters.cgroup.is_some(), filter::CGROUP),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |bits, (_, bit)| bits | bit);
    config.family = match filters.family {
        Some(Family::Ipv4) => u32::from(AF_INET),
        Some(Family::Ipv6) => u32::from(AF_INET6),
        None => 0,
    };
    config.netns = filters.netns.unwrap_or(0);
    config.cgroup = filters.cgroup.unwrap_or(0);
}

/// Fills the maps that the programs look up. It is done before any program is attached.
///
/// # Errors
///
/// A map cannot be written.
pub fn fill(filters: &Filters, ebpf: &mut Ebpf) -> Result<(), HostError> {
    let Filters {
        pids,
        lports,
        rports,
        nets,
        ..
    } = filters;
    let failed = |map| HostError::map("filling", map);
    fill_pids(ebpf, pids).map_err(failed("PIDS"))?;
    fill_ports(ebpf, "LPORTS", lports).map_err(failed("LPORTS"))?;
    fill_ports(ebpf, "RPORTS", rports).map_err(failed("RPORTS"))?;
    fill_nets(ebpf, nets).map_err(failed("NETS"))
}

fn fill_pids(ebpf: &mut Ebpf, pids: &[u32]) -> Result<(), MapError> {
    let Some(map) = ebpf.map_mut("PIDS") else {
        return Ok(());
    };
    let mut map: HashMap<_, u32, u8> = map.try_into()?;
    pids.iter().try_for_each(|pid| map.insert(pid, 1, 0))
}

fn fill_ports(
    ebpf: &mut Ebpf,
    name: &str,
    ranges: &[std::ops::RangeInclusive<u16>],
) -> Result<(), MapError> {
    if ranges.is_empty() {
        return Ok(());
    }
    let Some(map) = ebpf.map_mut(name) else {
        return Ok(());
    };
    let mut map: Array<_, u64> = map.try_into()?;
    let mut words = vec![0u64; PORT_WORDS as usize];
    for port in ranges.iter().cloned().flatten() {
        words[usize::from(port / 64)] |= 1 << (port % 64);
    }
    (0u32..)
        .zip(words)
        .filter(|(_, word)| *word != 0)
        .try_for_each(|(at, word)| map.set(at, word, 0))
}

fn fill_nets(ebpf: &mut Ebpf, nets: &[IpNet]) -> Result<(), MapError> {
    let Some(map) = ebpf.map_mut("NETS") else {
        return Ok(());
    };
    let mut map: LpmTrie<_, [u8; 16], u8> = map.try_into()?;
    nets.iter()
        .try_for_each(|net| map.insert(&net_key(net), 1, 0))
}

/// IPv4 networks are looked up in their v4-mapped form, so their prefix is 96 bits longer.
fn net_key(net: &IpNet) -> Key<[u8; 16]> {
    match net {
        IpNet::V4(net) => Key::new(
            96 + u32::from(net.prefix_len()),
            net.network().to_ipv6_mapped().octets(),
        ),
        IpNet::V6(net) => Key::new(u32::from(net.prefix_len()), net.network().octets()),
    }
}

#[cfg(test)]
mod tests {
    use keepalive_ebpf::wire;

    use super::*;
    use crate::{event::EventKind, settings::Events};

    #[test]
    fn a_v4_net_is_found_among_mapped_addresses() {
        let net: IpNet = "10.1.0.0/16".parse().unwrap();
        let key = net_key(&net);
        let (prefix, data) = (key.prefix_len(), key.data());
        assert_eq!(prefix, 112);
        assert_eq!(data[10..14], [0xff, 0xff, 10, 1]);
    }

    #[test]
    fn events_become_bits() {
        let mut config = Config::UNSET;
        let events = Events::NONE.with(EventKind::Probe).with(EventKind::Timeout);
        apply_events(&events, &mut config);
        apply(&Filters::default(), &mut config);
        assert_eq!(
            config.events,
            1 << wire::kind::PROBE | 1 << wire::kind::TIMEOUT
        );
        assert_eq!(config.filters, 0);
    }
}
