//! Asking: what is here, what do others offer, what are they doing.

use std::net::SocketAddr;

use super::Peer;
use crate::error::PeerError;
use crate::game::{PeerId, PeerName};
use crate::install::gather::{Asked, ask_all};
use crate::library::scan::scan;
use crate::library::state::GameState;
use crate::net::dial::{Dialled, PeerAddress, dial};
use crate::wire::message::GameOffer;

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

impl Peer {
    /// The games on this machine, sorted by id.
    ///
    /// # Errors
    /// [`PeerError::Local`] when the games directory cannot be read.
    pub async fn local_games(&self) -> Result<Vec<GameState>, PeerError> {
        let games_dir = self.inner.games_dir.clone();
        self.blocking("scan", move || Ok(scan(&games_dir)?)).await
    }

    /// What the given peers offer, in their order; a peer that cannot be asked has an error in its place. Peers that
    /// turn out to be this one are left out.
    pub async fn peer_offers(&self, peers: &[PeerAddress]) -> Vec<Result<PeerOffers, PeerError>> {
        let ours = self.hello();
        let asked = ask_all(peers, &ours, |mut dialled: Dialled| async move {
            let games = dialled.games().await?;
            let theirs = dialled.connection.theirs;
            Ok(PeerOffers { name: theirs.name, id: theirs.peer, address: dialled.address, games })
        });
        let answer = |asked: Asked<PeerOffers>| {
            asked.answer.map_err(|source| PeerError::Peer { peer: asked.peer.to_string(), source })
        };
        asked.await.into_iter().map(answer).collect()
    }

    /// What one peer is doing. It may be this one.
    ///
    /// # Errors
    /// [`PeerError::Peer`] when it cannot be asked.
    pub async fn peer_status(&self, peer: &PeerAddress) -> Result<PeerStatus, PeerError> {
        let ask = async {
            let mut dialled = dial(peer, &self.hello()).await?;
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
