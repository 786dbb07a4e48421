//! Peers that connect to this one.

use std::net::SocketAddr;

use lanspread_proto::message::Hello;
use lanspread_types::ids::PeerId;

/// A peer that connected to this one and sent its hello.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Where it connected from; the port means nothing.
    pub(crate) from: SocketAddr,
    /// Who it is.
    pub(crate) peer: PeerId,
    /// What it says about itself.
    pub(crate) hello: Hello,
}
