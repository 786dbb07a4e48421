//! Packing lists that were made or are awaited, as they are reported.

use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::{GameId, GameVersion};
use serde::{Deserialize, Serialize};

/// A packing list that a serving peer made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadePackingList {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// SHA-256 of the list.
    pub manifest: ContentDigest,
    /// Bytes of root files that were read for it; 0 if it was derived from the manifest of the catalog.
    pub read_bytes: u64,
    /// How long it took.
    pub duration_ms: u64,
}

/// A packing list that an operation waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedPackingList {
    /// Which game.
    pub game: GameId,
    /// When its sources may have it.
    pub in_ms: u64,
}
