//! From the text of one value to its meaning. The functions are pure; an error says what is wrong.

use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

use ipnet::{IpNet, Ipv4Net};
use jiff::SignedDuration;

/// A port, or an inclusive range `LOW-HIGH`. Port 0 is refused.
pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let Some((low, high)) = text.split_once('-') else {
        return port(text).map(|port| port..=port);
    };
    let (low, high) = (port(low)?, port(high)?);
    if low > high {
        return Err("the range ends before it begins".into());
    }
    Ok(low..=high)
}

fn port(text: &str) -> Result<u16, String> {
    match number(text)? {
        0 => Err("port 0 is never on the wire".into()),
        port => u16::try_from(port).map_err(|_| "ports end at 65535".into()),
    }
}

/// A network with its host bits set to zero; an address alone is a network of one. A v4-mapped network
/// becomes IPv4, because its packets are.
pub(super) fn net(text: &str) -> Result<IpNet, String> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(addr.to_canonical()));
    }
    let net: IpNet = text.parse().map_err(|_| match text.split_once('/') {
        Some((addr, _)) if addr.parse::<IpAddr>().is_ok() => "the prefix length is out of range",
        _ => "not an address or network",
    })?;
    Ok(unmapped(net.trunc()))
}

fn unmapped(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && let Some(addr) = v6.addr().to_ipv4_mapped()
        && let Some(prefix) = v6.prefix_len().checked_sub(96)
        && let Ok(v4) = Ipv4Net::new(addr, prefix)
    {
        return IpNet::V4(v4);
    }
    net
}

/// A positive time such as `5s` or `1h30m`. Zero is refused, because it could also mean "no limit".
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if text.parse::<u64>().is_ok() {
        return Err("the unit is missing".into());
    }
    let time: SignedDuration = text.parse().map_err(|_| "not a time")?;
    match Duration::try_from(time) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be longer than 0".into()),
    }
}

/// Whole milliseconds, at least one and at most `u64::MAX`.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A count of at least one.
pub(super) fn count(text: &str) -> Result<u64, String> {
    match number(text)? {
        0 => Err("must be at least 1".into()),
        count => Ok(count),
    }
}

/// A pid. Whether the process exists is not checked here.
pub(super) fn pid(text: &str) -> Result<u32, String> {
    match u32::try_from(number(text)?) {
        Ok(0) | Err(_) => Err("not a process id".into()),
        Ok(pid) => Ok(pid),
    }
}

/// The inode of a namespace, bare or as `readlink /proc/PID/ns/net` prints it.
pub(super) fn netns(text: &str) -> Result<u32, String> {
    let bare = text
        .strip_prefix("net:[")
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    match u32::try_from(number(bare)?) {
        Ok(0) | Err(_) => Err("not an inode number".into()),
        Ok(inode) => Ok(inode),
    }
}

/// The largest ring that is accepted: one GiB.
const RING_MAX: u64 = 1 << 30;

/// The size of a ring buffer in bytes: a number, or one with k, M or G. It is rounded up to what the
/// kernel accepts, a power of two of whole pages.
pub(super) fn ring_size(text: &str, page: u64) -> Result<u32, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let bytes = number(digits)?.saturating_mul(unit);
    if bytes == 0 {
        return Err("must be larger than 0".into());
    }
    if bytes > RING_MAX {
        return Err("too large".into());
    }
    u32::try_from(bytes.max(page).next_power_of_two()).map_err(|_| "too large".into())
}

fn number(text: &str) -> Result<u64, String> {
    // `parse` alone would take a leading plus sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(if text.is_empty() {
            "a number is missing".into()
        } else {
            "not a number".into()
        });
    }
    text.parse().map_err(|_| "out of range".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        assert_eq!(ports("443"), Ok(443..=443));
        assert_eq!(ports("8000-8100"), Ok(8000..=8100));
        assert_eq!(ports("1-65535"), Ok(1..=65535));
        for bad in [
            "0",
            "70000",
            "0-5",
            "9-8",
            "-5",
            "5-",
            "+5",
            "",
            "http",
            "1-2-3",
            "99999999999999999999",
        ] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_lose_their_host_bits_and_their_mapping() {
        let shown = |text| net(text).map(|net| net.to_string());
        assert_eq!(shown("10.1.2.3").as_deref(), Ok("10.1.2.3/32"));
        assert_eq!(shown("10.1.2.3/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(shown("2001:db8::1").as_deref(), Ok("2001:db8::1/128"));
        assert_eq!(shown("::ffff:10.1.2.3").as_deref(), Ok("10.1.2.3/32"));
        assert_eq!(shown("::ffff:10.1.2.3/104").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(shown("::/0").as_deref(), Ok("::/0"));
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "fe80::1%eth0",
            "::1/129",
            "x/8",
            "10.0.0.0/",
        ] {
            assert!(net(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_a_length() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "5", "0s", "-5s", "5 parsecs", "s", "1e9h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ring_sizes_round_up_to_what_the_kernel_takes() {
        assert_eq!(ring_size("1", 4096), Ok(4096));
        assert_eq!(ring_size("4096", 4096), Ok(4096));
        assert_eq!(ring_size("64k", 4096), Ok(65536));
        assert_eq!(ring_size("5M", 4096), Ok(8 << 20));
        assert_eq!(ring_size("4096", 65536), Ok(65536));
        assert_eq!(ring_size("1G", 4096), Ok(1 << 30));
        for bad in [
            "",
            "0",
            "k",
            "4x",
            "-1",
            "1025M",
            "99999999999G",
            "4 k",
            "४k",
        ] {
            assert!(ring_size(bad, 4096).is_err(), "{bad}");
        }
    }

    #[test]
    fn identifiers() {
        assert_eq!(pid("1"), Ok(1));
        assert_eq!(netns("4026531840"), Ok(4026531840));
        assert_eq!(netns("net:[4026531840]"), Ok(4026531840));
        assert_eq!(count("3"), Ok(3));
        for bad in ["0", "-1", "", "self!", "4294967296"] {
            assert!(pid(bad).is_err() && netns(bad).is_err(), "{bad}");
        }
        assert!(count("0").is_err());
    }
}
