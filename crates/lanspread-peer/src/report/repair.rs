//! How a comparison ends, and how a repair begins and ends, as data.

use lanspread_types::content::InstallTrust;
use lanspread_types::ids::{GameId, GameVersion};
use serde::{Deserialize, Serialize};

use crate::report::failure::Code;
use crate::report::source_share::SourceShare;

/// A game was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyFinished {
    /// Which game.
    pub game: GameId,
    /// Files compared.
    pub files: u64,
    /// Bytes compared.
    pub bytes: u64,
    /// Files that are missing or differ.
    pub differences: u64,
    /// Files in `local/` that no install put there.
    pub added: u64,
    /// Whether the installed tree is verified; none if no tree was compared.
    pub trust: Option<InstallTrust>,
}

/// A game was compared, and something of it differs. What will be replaced was reported file by file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairBegin {
    /// Which game.
    pub game: GameId,
    /// The version that is here.
    pub version: GameVersion,
    /// Files and folders of the installed tree that will be replaced, made or removed.
    pub entries: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Downloaded files that are wrong.
    pub root_files: u64,
    /// Bytes of the parts of them that are wrong, as far as the records on this machine say.
    pub root_bytes: u64,
}

/// A game is as it was installed and downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairFinished {
    /// Which game.
    pub game: GameId,
    /// Whether anything differed.
    pub changed: bool,
    /// Files and folders that were replaced, made or removed.
    pub files: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Bytes that came from other peers and servers.
    pub bytes_fetched: u64,
    /// What each source of root files sent. Empty if the installed tree was streamed.
    pub sources: Vec<SourceShare>,
    /// Whether the installed tree is verified; none without a tree.
    pub trust: Option<InstallTrust>,
    /// From the request to the end.
    pub duration_ms: u64,
}

/// A game could not be repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairFailed {
    /// Which game.
    pub game: GameId,
    /// Stable kebab-case code.
    pub code: Code,
    /// Why, in one line.
    pub message: String,
}
