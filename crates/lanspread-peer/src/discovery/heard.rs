//! What is heard on the network about other peers, and what a peer says there about itself; however that is done.

use std::net::SocketAddr;

use lanspread_types::ids::PeerName;

use crate::discovery::directory::PeerKey;

/// A peer that may answer at these addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerHint {
    /// Of a member of a party, the key of its number: which peer it is, the handshake says.
    pub(crate) key: PeerKey,
    /// None of a member of a party.
    pub(crate) name: Option<PeerName>,
    /// Revision of its library; none of a member of a party.
    pub(crate) revision: Option<u64>,
    /// At least one, at most [`lanspread_types::limits::PEER_ADDRESSES_MAX`]; the most promising first.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Something heard on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A peer announced itself.
    Hint(PeerHint),
    /// A peer of another protocol version announced itself.
    OtherProtocol {
        /// Its version.
        protocol: u16,
        /// Its name, as far as it can be read.
        name: String,
        /// One of its addresses.
        address: Option<SocketAddr>,
    },
    /// A peer announced itself that is not of the party of this machine. The text tells such peers apart.
    Stranger(String),
    /// A peer said goodbye, or its announcement expired.
    Gone(PeerKey),
}

/// What a serving peer says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Advertised {
    pub(crate) key: PeerKey,
    pub(crate) name: PeerName,
    pub(crate) listening: SocketAddr,
}
