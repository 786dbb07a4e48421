//! Peers that connect to this one.

use std::net::SocketAddr;

use lanspread_proto::message::Hello;

/// A peer that connected to this one and said who it is.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Where it connected from, from a port of no meaning.
    pub(crate) from: SocketAddr,
    /// Who it says it is.
    pub(crate) hello: Hello,
}
