//! Waiting for a place, as it is reported.

use lanspread_types::ids::{GameId, PeerId, PeerName};
use serde::{Deserialize, Serialize};

/// Where an operation waits for a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedAt {
    /// Which game.
    pub game: GameId,
    /// Name of the source.
    pub peer: PeerName,
    /// Its identity.
    pub peer_id: Option<PeerId>,
    /// How many have their turn before it.
    pub ahead: u32,
    /// In how many milliseconds its turn may come, if the source can tell.
    pub in_ms: Option<u32>,
    /// If it waits for the next wave of a packed stream: how many receivers do, this one included.
    pub receivers: Option<u32>,
}
