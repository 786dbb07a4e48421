//! What a source sent instead of what the manifest lists.

use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::{GameId, PeerId, PeerName};

use crate::report::event::PeerEvent;
use crate::report::offender::{ProvedLie, ServerLie};

/// A source sent other bytes than the manifest lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{path}` from byte {position} is not as the catalog lists it: SHA-256 {expected} expected, got {got}"
)]
pub(crate) struct OtherBytes {
    /// Name of the file, safe to print.
    pub(crate) path: String,
    /// Where the listed chunk begins.
    pub(crate) position: u64,
    /// SHA-256 of the listed chunk.
    pub(crate) expected: ContentDigest,
    /// SHA-256 of what came.
    pub(crate) got: ContentDigest,
}

impl OtherBytes {
    /// The event that names who sent them: a peer, or without an identity the URL of a server.
    pub(crate) fn lie(self, game: GameId, name: PeerName, id: Option<PeerId>) -> PeerEvent {
        let Self { path, position, expected, got } = self;
        let (expected, got) = (expected.to_string(), got.to_string());
        match id {
            Some(id) => {
                let (path, position) = (Some(path), Some(position));
                PeerEvent::PeerLied(ProvedLie { peer: name, id, game, path, position, expected, got })
            }
            None => PeerEvent::ServerLied(ServerLie { server: name, game, path, position, expected, got }),
        }
    }
}
