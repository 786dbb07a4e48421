//! What a transfer fetches chunks from.

use std::sync::Arc;

use lanspread_types::ids::{GameId, PeerId, PeerName};

use crate::http::server::HttpServer;
use crate::receive::other_bytes::OtherBytes;
use crate::report::event::PeerEvent;
use crate::trust::select::PeerOffer;

/// A source of chunks, before it is opened.
#[derive(Clone)]
pub(crate) enum TransferSource {
    /// A validated peer.
    Peer(Box<PeerOffer>),
    /// An HTTP server. It is used only with a manifest, which proves what it sends.
    Server(Arc<HttpServer>),
}

impl TransferSource {
    /// The name of the peer, or the URL of the server.
    pub(crate) fn name(&self) -> &PeerName {
        match self {
            Self::Peer(peer) => &peer.name,
            Self::Server(server) => server.name(),
        }
    }

    /// The peer; none for a server.
    pub(crate) fn peer(&self) -> Option<&PeerOffer> {
        match self {
            Self::Peer(peer) => Some(peer),
            Self::Server(_) => None,
        }
    }

    /// The identity of the peer; a server has none.
    pub(crate) fn peer_id(&self) -> Option<PeerId> {
        match self {
            Self::Peer(peer) => Some(peer.id),
            Self::Server(_) => None,
        }
    }

    /// The identity of the peer, or what records have in its place for a server.
    pub(crate) fn record_id(&self) -> PeerId {
        match self {
            Self::Peer(peer) => peer.id,
            Self::Server(server) => server.record_id(),
        }
    }

    /// The event that names this source, because its bytes are not those of the manifest.
    pub(crate) fn lied(&self, game: &GameId, other: &OtherBytes) -> PeerEvent {
        other.clone().lie(game.clone(), self.name().clone(), self.peer_id())
    }
}
