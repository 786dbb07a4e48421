//! What an operation would do at another peer, as that peer says. Nothing of it is proved; it is shown to people.

use lanspread_types::ids::GameVersion;
use serde::{Deserialize, Serialize};

/// What an operation would do there. Amounts are missing that only its sources know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedWork {
    /// The version that it is about.
    pub version: Option<GameVersion>,
    /// Whether it would change anything.
    pub changed: bool,
    /// Bytes that it would fetch.
    pub fetched_bytes: Option<u64>,
    /// Unpacked bytes that it would write to the installed tree.
    pub bytes: Option<u64>,
    /// Files that the user there added or changed and that would be lost.
    pub lost_files: u64,
    /// The most disk that it would take at any time, with a margin.
    pub needed_bytes: Option<u64>,
    /// Bytes that are free for games there, and not booked by other operations.
    pub free_bytes: u64,
    /// Whether it fits, in bytes and in numbers of files.
    pub fits: Option<bool>,
}
