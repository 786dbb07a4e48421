//! The networks that this machine is directly connected to.

use std::io;
use std::net::IpAddr;

/// One address of this machine, and the network around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkNetwork {
    /// Index of the interface.
    pub(crate) interface: u32,
    pub(crate) ip: IpAddr,
    pub(crate) prefix_bits: u8,
}

impl LinkNetwork {
    /// Whether the address of a machine lies in this network. The first and the last IPv4 address of a network belong
    /// to no machine (RFC 3021 has the exception of two addresses).
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let host = u32::MAX.checked_shr(self.prefix_bits.into()).unwrap_or_default();
                let (ours, theirs) = (u32::from(ours), u32::from(theirs));
                let is_machine = host <= 1 || (theirs & host != 0 && theirs & host != host);
                ours & !host == theirs & !host && is_machine
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let host = u128::MAX.checked_shr(self.prefix_bits.into()).unwrap_or_default();
                u128::from(ours) & !host == u128::from(theirs) & !host
            }
            _ => false,
        }
    }
}

/// The networks of this machine, as the system reports them now.
pub(crate) fn ours() -> io::Result<Vec<LinkNetwork>> {
    let addresses = if_addrs::get_if_addrs()?;
    let networks = addresses.iter().map(|interface| {
        let (ip, prefix_bits) = match &interface.addr {
            if_addrs::IfAddr::V4(v4) => (v4.ip.into(), v4.prefixlen),
            if_addrs::IfAddr::V6(v6) => (v6.ip.into(), v6.prefixlen),
        };
        LinkNetwork { interface: interface.index.unwrap_or_default(), ip, prefix_bits }
    });
    Ok(networks.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_machines_in_it() {
        let network =
            |ip: &str, prefix_bits| LinkNetwork { interface: 2, ip: ip.parse().unwrap(), prefix_bits };
        for (ip, prefix, other, expected) in [
            ("192.168.1.7", 24, "192.168.1.200", true),
            ("192.168.1.7", 24, "192.168.1.0", false),
            ("192.168.1.7", 24, "192.168.1.255", false),
            ("192.168.1.7", 24, "192.168.2.1", false),
            ("192.168.1.7", 16, "192.168.1.255", true),
            ("10.0.0.2", 31, "10.0.0.3", true),
            ("10.0.0.2", 32, "10.0.0.2", true),
            ("10.0.0.2", 32, "10.0.0.3", false),
            ("10.0.0.2", 0, "8.8.8.8", true),
            ("fd00::1", 64, "fd00::ffff", true),
            ("fd00::1", 64, "fd00:0:0:1::1", false),
            ("fd00::1", 128, "fd00::1", true),
            ("10.0.0.2", 24, "fd00::1", false),
        ] {
            assert_eq!(
                network(ip, prefix).contains(other.parse().unwrap()),
                expected,
                "{ip}/{prefix} {other}"
            );
        }
    }

    #[test]
    fn the_loopback_network_is_ours() {
        let networks = ours().unwrap();
        let loopback = networks.iter().find(|network| network.ip.is_loopback()).unwrap();
        assert!(loopback.interface != 0 && loopback.prefix_bits >= 8, "{networks:?}");
    }
}
