//! What a streamed install would take its bytes from.

use std::net::SocketAddr;

use lanspread_types::ids::{PeerId, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::packed_stream::UpstreamKind;

/// A source of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSource {
    /// Its name.
    pub name: PeerName,
    /// Its identity.
    pub peer: PeerId,
    /// Its address.
    pub addr: SocketAddr,
}

/// An upstream of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedUpstream {
    /// Name of the peer, or the address of the server.
    pub upstream: String,
    /// What kind it is.
    pub kind: UpstreamKind,
}
