//! The manifest of one game of a new catalog, as an event reports it.

use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::failure::Code;

/// A game that has a manifest now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltManifest {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// Whether its entry of the catalog is `added`, `changed` or `unchanged`.
    pub change: Code,
    /// Whether its files were read; they are known from an earlier build otherwise.
    pub read: bool,
    /// SHA-256 of the manifest.
    pub manifest: ContentDigest,
    /// Bytes of the manifest.
    pub manifest_bytes: u64,
    /// Bytes of the root files.
    pub bytes: u64,
    /// Bytes of the installed tree.
    pub unpacked_bytes: u64,
    /// Files of the installed tree.
    pub files: u64,
    /// How long it took.
    pub duration_ms: u64,
}

/// The manifest of a game that has arrived from a peer and is what the catalog names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivedManifest {
    /// Which game.
    pub game: GameId,
    /// Name of the peer that handed it on.
    pub peer: PeerName,
    /// SHA-256 of the manifest.
    pub manifest: ContentDigest,
    /// Its bytes.
    pub bytes: u64,
}
