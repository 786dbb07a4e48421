//! Asking other peers: what do they offer, what are they doing. Needs an identity but no games.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::builder;
use crate::error::PeerError;
use crate::game::{PeerId, PeerName};
use crate::identity;
use crate::install::gather::{Asked, ask_all};
use crate::net::dial::{Dialled, PeerAddress, dial};
use crate::wire::message::{GameOffer, Hello};

/// What one peer offers.
#[derive(Debug, Clone)]
pub struct PeerOffers {
    /// Name of the peer.
    pub name: PeerName,
    /// Its identity.
    pub id: PeerId,
    /// Where it answered.
    pub address: SocketAddr,
    /// Its games.
    pub games: Vec<GameOffer>,
}

/// What one peer is doing.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// Name of the peer.
    pub name: PeerName,
    /// Its identity.
    pub id: PeerId,
    /// Where it answered.
    pub address: SocketAddr,
    /// Its games.
    pub games: Vec<GameOffer>,
    /// Streams it is sending.
    pub active_outbound_transfers: u64,
    /// Streams it sends at most at once.
    pub streams_max: u64,
    /// Connections open to it, ours included.
    pub connections: u64,
}

/// Asks other peers in the name of one identity.
#[derive(Debug, Clone)]
pub struct PeerClient {
    ours: Hello,
}

impl PeerClient {
    /// A client with the identity of a state directory, the user's when nothing is said.
    ///
    /// # Errors
    /// [`PeerError::Config`] or [`PeerError::Local`] when there is no identity to be had.
    pub fn new(state_dir: Option<PathBuf>) -> Result<Self, PeerError> {
        let (peer, name) = builder::identity(state_dir, None)?;
        Ok(Self { ours: Hello { peer, name, listen_port: None, instance: identity::instance()? } })
    }

    /// What the given peers offer, in their order; a peer that cannot be asked, or that is this one, has an error
    /// in its place.
    pub async fn offers(&self, peers: &[PeerAddress]) -> Vec<Result<PeerOffers, PeerError>> {
        let asked = ask_all(peers, &self.ours, |mut dialled: Dialled| async move {
            let games = dialled.games().await?;
            let theirs = dialled.connection.theirs;
            Ok(PeerOffers { name: theirs.name, id: theirs.peer, address: dialled.address, games })
        });
        let answer = |asked: Asked<PeerOffers>| {
            asked.answer.map_err(|source| PeerError::Peer { peer: asked.peer.to_string(), source })
        };
        asked.await.into_iter().map(answer).collect()
    }

    /// What one peer is doing. It may be the one whose identity this is.
    ///
    /// # Errors
    /// [`PeerError::Peer`] when it cannot be asked.
    pub async fn status(&self, peer: &PeerAddress) -> Result<PeerStatus, PeerError> {
        let ask = async {
            let mut dialled = dial(peer, &self.ours).await?;
            let status = dialled.status().await?;
            let games = dialled.games().await?;
            let theirs = dialled.connection.theirs;
            Ok(PeerStatus {
                name: theirs.name,
                id: theirs.peer,
                address: dialled.address,
                games,
                active_outbound_transfers: status.active_outbound_transfers,
                streams_max: status.streams_max,
                connections: status.connections,
            })
        };
        ask.await.map_err(|source| PeerError::Peer { peer: peer.to_string(), source })
    }
}
