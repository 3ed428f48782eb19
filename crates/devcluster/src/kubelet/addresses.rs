//! Pod addresses: one address of the loopback network per pod.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
};

/// The address pods use that ask for the host's network, and the host's own.
pub(super) const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Hands out addresses of 127.0.0.0/8.
///
/// Linux answers on all of them without set-up. Other systems answer on 127.0.0.1 only; there all pods share it.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The last one given out. Counting on from it keeps an address unused for long after its pod is gone.
    last: u32,
    used: HashSet<Ipv4Addr>,
}

impl Addresses {
    /// `seed` decides where to begin, so that two clusters on one machine are unlikely to use the same addresses.
    pub(super) fn new(seed: u32) -> Self {
        Self { last: seed & 0x00ff_ffff, used: HashSet::new() }
    }

    /// An address that no other pod has.
    pub(super) fn take(&mut self) -> IpAddr {
        if !cfg!(target_os = "linux") {
            return HOST;
        }
        // 16 million candidates: the loop ends long before they are all in use.
        for _ in 0..=0x00ff_ffff_u32 {
            self.last = (self.last + 1) & 0x00ff_ffff;
            let address = Ipv4Addr::from(0x7f00_0000 | self.last);
            if usable(address) && self.used.insert(address) {
                return address.into();
            }
        }
        HOST
    }

    /// The address is free again.
    pub(super) fn release(&mut self, address: IpAddr) {
        if let IpAddr::V4(address) = address {
            self.used.remove(&address);
        }
    }
}

/// Not in 127.0.0.0/16, where name resolvers and the host's own name live, and not a network or broadcast address in
/// the eyes of anybody who thinks in /24s.
fn usable(address: Ipv4Addr) -> bool {
    let [_, second, _, last] = address.octets();
    second != 0 && second != 255 && last != 0 && last != 255
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_distinct_and_not_reused_soon() {
        let mut addresses = Addresses::new(0);
        let first = addresses.take();
        assert_eq!(first, IpAddr::from([127, 1, 0, 1]));
        addresses.release(first);
        let more: HashSet<IpAddr> = (0..1000).map(|_| addresses.take()).collect();
        assert_eq!(more.len(), 1000);
        assert!(!more.contains(&first));
        assert!(more.iter().all(|address| address.is_loopback() && *address != HOST));
    }

    #[test]
    fn counting_wraps_around_and_skips_what_is_in_use() {
        let mut addresses = Addresses::new(0x00fe_fffd);
        assert_eq!(addresses.take(), IpAddr::from([127, 254, 255, 254]));
        assert_eq!(addresses.take(), IpAddr::from([127, 1, 0, 1]));
        addresses.last = 0x00fe_fffd;
        assert_eq!(addresses.take(), IpAddr::from([127, 1, 0, 2]));
    }
}
