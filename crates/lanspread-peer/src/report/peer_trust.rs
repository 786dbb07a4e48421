//! What a user has decided about a peer, as answers have it.

use serde::{Deserialize, Serialize};

/// What the user has decided about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerTrust {
    /// It is let in where only trusted peers are.
    Trusted,
    /// It was saved with its identity.
    Saved,
    /// Nothing.
    Unknown,
    /// It is neither let in nor asked.
    Denied,
}
