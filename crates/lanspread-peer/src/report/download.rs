//! How a download begins and ends, as data.

use lanspread_types::content::InstallTrust;
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::source_share::SourceShare;

/// The sources of a download are chosen and its space is booked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadBegin {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// Names of the validated peers.
    pub sources: Vec<PeerName>,
    /// Files of the game root.
    pub files: u64,
    /// Bytes of these files.
    pub bytes_total: u64,
    /// Bytes that an earlier download left and that are known to be good.
    pub bytes_kept: u64,
}

/// A game is downloaded: its sentinel is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadFinished {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// Files of the game root.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Bytes that this run fetched.
    pub bytes_fetched: u64,
    /// What each source sent.
    pub sources: Vec<SourceShare>,
    /// From the command to the first request for chunks: the search for peers, their answers, and the check of what is kept
    /// from earlier.
    pub waited_ms: u64,
    /// From the first request for chunks to the durable sentinel.
    pub duration_ms: u64,
    /// `bytes_fetched` per second of `duration_ms`.
    pub bytes_per_second: u64,
    /// Whether every byte was compared with the manifest of the catalog.
    pub trust: InstallTrust,
}
