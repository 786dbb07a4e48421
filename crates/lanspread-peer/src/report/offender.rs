//! Penalised peers and their offences, as data.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use lanspread_types::ids::{GameId, PeerId, PeerName};
use serde::{Deserialize, Serialize};

/// What a peer is penalised for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Offence {
    /// It sent other bytes than the trusted manifest lists.
    Lied,
    /// It broke the protocol, or its own announcement.
    BrokeProtocol,
    /// It did not prove who it is.
    FailedHandshake,
}

impl Offence {
    /// Its word in events and files.
    pub fn code(self) -> &'static str {
        match self {
            Self::Lied => "lied",
            Self::BrokeProtocol => "broke-protocol",
            Self::FailedHandshake => "failed-handshake",
        }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Lied => "it sent other bytes than the catalog lists",
            Self::BrokeProtocol => "it broke the protocol",
            Self::FailedHandshake => "it did not prove who it is",
        })
    }
}

/// What a source sent instead of what the manifest lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvedLie {
    /// Name of the source.
    pub peer: PeerName,
    /// Its identity.
    pub id: PeerId,
    /// Which game.
    pub game: GameId,
    /// The file, folder or archive; none if it is about the whole game.
    pub path: Option<String>,
    /// Where in the file the part or the chunk begins that is wrong; none if it is about a header or a whole file.
    pub position: Option<u64>,
    /// What the manifest lists, in words.
    pub expected: String,
    /// What came, in words.
    pub got: String,
}

/// What an HTTP server sent instead of what the manifest lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerLie {
    /// The server: its URL without credentials, or as much of it as a name holds.
    pub server: PeerName,
    /// Which game.
    pub game: GameId,
    /// The file.
    pub path: String,
    /// Where in the file the chunk begins that is wrong.
    pub position: u64,
    /// What the manifest lists.
    pub expected: String,
    /// What came.
    pub got: String,
}

/// A source that is not believed for a while, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PenalisedPeer {
    /// With which game.
    pub game: GameId,
    /// Its identity.
    pub peer: PeerId,
    /// Its name.
    pub name: PeerName,
    /// Where it answered.
    pub addr: SocketAddr,
    /// What it did.
    pub offence: Offence,
    /// How long its penalty is.
    pub length_ms: u64,
    /// What happened, in one line.
    pub message: String,
}

/// An address as it is penalised. An IPv6 address stands for its /64 network, unless it is link-local.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PenaltyAddress(IpAddr);

impl From<IpAddr> for PenaltyAddress {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(whole) if !whole.is_unicast_link_local() => {
                Ipv6Addr::from_bits(whole.to_bits() >> 64 << 64).into()
            }
            other => other,
        })
    }
}

impl fmt::Display for PenaltyAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(network) if !network.is_unicast_link_local() => write!(formatter, "{network}/64"),
            address => write!(formatter, "{address}"),
        }
    }
}

/// The text is neither an address nor a /64 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address is one such as 10.0.0.5, fe80::1 or 2001:db8::/64")]
pub struct NoAddress;

impl FromStr for PenaltyAddress {
    type Err = NoAddress;
    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let (address, is_network) = text.strip_suffix("/64").map_or((text, false), |start| (start, true));
        match address.parse::<IpAddr>() {
            Ok(address) if !is_network || address.is_ipv6() => Ok(address.into()),
            _ => Err(NoAddress),
        }
    }
}

impl TryFrom<String> for PenaltyAddress {
    type Error = NoAddress;
    fn try_from(text: String) -> Result<Self, NoAddress> {
        text.parse()
    }
}

impl From<PenaltyAddress> for String {
    fn from(address: PenaltyAddress) -> Self {
        address.to_string()
    }
}

/// A penalised peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offender {
    /// An identity.
    Peer(PeerId),
    /// Every peer at an address.
    Address(PenaltyAddress),
}

impl fmt::Display for Offender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => write!(formatter, "{peer}"),
            Self::Address(address) => write!(formatter, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_for_its_network_unless_it_is_link_local() {
        for (address, shown) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
            ("fe80::1", "fe80::1"),
            ("::ffff:10.0.0.5", "10.0.0.5"),
            ("10.0.0.5", "10.0.0.5"),
        ] {
            assert_eq!(address.parse::<PenaltyAddress>().unwrap().to_string(), shown);
        }
        for bad in ["", "10.0.0.5/64", "10.0.0", "pc-7.lan", "2001:db8::/48"] {
            assert_eq!(bad.parse::<PenaltyAddress>(), Err(NoAddress), "{bad}");
        }
    }
}
