//! What becomes of what a repair fetches.

use serde::{Deserialize, Serialize};

/// What becomes of the parts that a repair fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairKind {
    /// They are put into the files of the game root.
    Download,
    /// They are unpacked into the installed tree, and removed.
    Tree,
}
