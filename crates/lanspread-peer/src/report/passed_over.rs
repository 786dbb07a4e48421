//! A folder that looks like a game and is not served, as it is reported: as an event, and in the answer to `list`.

use lanspread_types::ids::GameId;
use serde::{Deserialize, Serialize};

use crate::report::failure::Code;

/// A folder of the games directory that is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOverFolder {
    /// Its name, safe to print.
    pub folder: String,
    /// Why, as a stable kebab-case code.
    pub code: Code,
    /// Why, in one line.
    pub message: String,
    /// A game id that looks like the name, if the name is not a game id.
    pub suggestion: Option<GameId>,
}
