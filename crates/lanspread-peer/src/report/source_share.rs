//! What each source contributed, as data.

use lanspread_types::ids::PeerName;
use serde::{Deserialize, Serialize};

/// What one source contributed to a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceShare {
    /// Name of the source.
    pub peer: PeerName,
    /// Whole chunks that it sent.
    pub chunks: u64,
    /// Bytes of these chunks.
    pub bytes: u64,
}
