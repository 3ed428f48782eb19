//! Which addresses may be dialled.
//!
//! A pod's address comes from its status, which whoever may write pod statuses (or runs a pod on the host network)
//! chooses. It must not lead to the node, to this process itself, or to a cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The addresses a proxy connects to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    only: Vec<IpNet>,
}

impl AddressPolicy {
    /// With ranges: only addresses in one of them, and those on loopback or link-local only when a range lies wholly
    /// there, so that `0.0.0.0/0` does not open them by accident. Without ranges: every address but those two.
    ///
    /// Either way no metadata service, multicast, broadcast or unspecified address.
    #[must_use]
    pub fn new(ranges: Vec<IpNet>) -> Self {
        Self { only: ranges }
    }

    /// Tells whether `ip` may be dialled.
    #[must_use]
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if is_never_a_pod(ip) || embedded_ipv4(ip).is_some_and(|v4| !self.allows(IpAddr::V4(v4))) {
            return false;
        }
        match local_range(ip) {
            None => self.only.is_empty() || self.only.iter().any(|range| range.contains(&ip)),
            Some(local) => self.only.iter().any(|range| local.contains(range) && range.contains(&ip)),
        }
    }
}

/// The loopback or link-local range `ip` is in.
fn local_range(ip: IpAddr) -> Option<IpNet> {
    let ranges = [
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)),
    ];
    ranges.into_iter().find(|range| range.contains(&ip))
}

fn is_never_a_pod(ip: IpAddr) -> bool {
    match ip {
        // `0.0.0.0/8` is "this network" (RFC 1122): on Linux it reaches the machine itself.
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast() || is_metadata_v4(ip),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast() || is_metadata_v6(ip),
    }
}

/// The services that hand a machine's credentials to whoever asks from it.
fn is_metadata_v4(ip: Ipv4Addr) -> bool {
    matches!(
        ip.octets(),
        [169, 254, 169, 254] // most clouds
            | [169, 254, 170, 2] // AWS container credentials
            | [169, 254, 170, 23] // AWS pod identity
            | [168, 63, 129, 16] // Azure
            | [100, 100, 100, 200] // Alibaba
            | [192, 0, 0, 192] // Oracle
    )
}

fn is_metadata_v6(ip: Ipv6Addr) -> bool {
    matches!(
        ip.segments(),
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] // AWS
            | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] // Google
    )
}

/// The IPv4 address that a transition mechanism would turn this IPv6 address into.
fn embedded_ipv4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let [.., y, z] = ip.segments();
    let join = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match ip.segments() {
        // RFC 4291 "compatible"; `::` and `::1` are judged as what they are
        [0, 0, 0, 0, 0, 0, y, z] if y != 0 => Some(join(y, z)),
        // RFC 6052 (NAT64)
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(join(y, z)),
        // RFC 3056 (6to4)
        [0x2002, c, d, ..] => Some(join(c, d)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(ranges: &[&str]) -> AddressPolicy {
        AddressPolicy::new(ranges.iter().map(|r| r.parse().unwrap()).collect())
    }

    fn allowed(policy: &AddressPolicy, ip: &str) -> bool {
        policy.allows(ip.parse().unwrap())
    }

    const NEVER: [&str; 17] = [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "::",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ];

    #[test]
    fn t36_without_ranges_local_addresses_are_refused() {
        let policy = policy(&[]);
        for ip in NEVER {
            assert!(!allowed(&policy, ip), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "::1",
            "fe80::1",
            "febf::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.1.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(!allowed(&policy, ip), "{ip}");
        }
        for ip in [
            "10.42.0.7",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "8.8.8.8",
            "fd12::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(allowed(&policy, ip), "{ip}");
        }
    }

    #[test]
    fn t36_with_ranges_only_they_count() {
        let pods = policy(&["10.42.0.0/16", "fd12::/64"]);
        for ip in ["10.42.255.1", "fd12::9", "::ffff:10.42.0.1"] {
            assert!(allowed(&pods, ip), "{ip}");
        }
        for ip in ["10.43.0.1", "fd12:0:0:1::1", "127.0.0.1", "::1", "2002:0a2b::1"] {
            assert!(!allowed(&pods, ip), "{ip}");
        }
        let everything = policy(&["0.0.0.0/0", "::/0"]);
        for ip in NEVER.into_iter().chain(["127.0.0.1", "::1", "169.254.0.1", "fe80::1"]) {
            assert!(!allowed(&everything, ip), "{ip}");
        }
        let dev = policy(&["127.0.0.0/8"]);
        assert!(allowed(&dev, "127.3.2.1") && !allowed(&dev, "10.0.0.1") && !allowed(&dev, "::1"));
        assert!(allowed(&policy(&["::1/128"]), "::1"));
    }
}
