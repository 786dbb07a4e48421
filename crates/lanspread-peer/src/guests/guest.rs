//! The guest for which a place is counted.

use std::net::{IpAddr, Ipv6Addr};

use lanspread_types::ids::PeerId;

/// A peer that asks something of this one, as its places are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guest {
    /// The address that it connects from.
    pub(crate) address: IpAddr,
    /// Its address, or the /64 network of an IPv6 address: one machine can use every address of such a network.
    pub(crate) network: IpAddr,
    /// The identity that it claims; none before its hello.
    pub(crate) identity: Option<PeerId>,
}

impl Guest {
    /// The guest behind an address.
    pub(crate) fn at(address: IpAddr) -> Self {
        // An IPv4 guest of a listener for both families is the same guest as over IPv4.
        let address = address.to_canonical();
        let network = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(whole) => IpAddr::V6(Ipv6Addr::from_bits(whole.to_bits() >> 64 << 64)),
        };
        Self { address, network, identity: None }
    }

    /// The same guest after its hello.
    pub(crate) fn who_is(self, identity: PeerId) -> Self {
        Self { identity: Some(identity), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> String {
        Guest::at(address.parse().unwrap()).network.to_string()
    }

    #[test]
    fn ipv4_counts_by_address_and_ipv6_by_its_network() {
        assert_eq!(network("10.1.2.3"), "10.1.2.3");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("fe80::1"), "fe80::");
        assert_eq!(Guest::at("::ffff:10.1.2.3".parse().unwrap()), Guest::at("10.1.2.3".parse().unwrap()));
    }
}
