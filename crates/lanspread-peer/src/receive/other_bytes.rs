//! What a source sent instead of what the manifest lists.

use lanspread_types::checksum::ContentDigest;

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
