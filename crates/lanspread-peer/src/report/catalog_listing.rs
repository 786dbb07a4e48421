//! What the catalog says of a game that a peer reports.

use lanspread_types::ids::GameVersion;
use serde::{Deserialize, Serialize};

/// What the catalog says of a game; nothing if it does not list the game, or if there is no catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CatalogListing {
    /// The version that is to be installed.
    pub listed_version: Option<GameVersion>,
    /// Bytes of the installed tree of that version.
    pub unpacked_bytes: Option<u64>,
}
