//! What was done so that a game is on this machine as it is wanted, or is not there.

use std::fmt;

use lanspread_types::ids::{GameId, GameVersion};
use serde::{Deserialize, Serialize};

use crate::report::failure::Code;

/// The state of a game after an *ensure* or an *absent*, and what was done for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ensured {
    /// Which game.
    pub game: GameId,
    /// Whether it is to be here.
    pub present: bool,
    /// The version that is here; none if the game is not here, or if no receipt says it.
    pub version: Option<GameVersion>,
    /// What was done.
    pub action: EnsureAction,
    /// Whether anything was changed.
    pub changed: bool,
    /// Why the version was not compared with one from elsewhere, or was kept nevertheless: the code of the failure to ask
    /// peers, or `newer-here`.
    pub note: Option<Code>,
}

/// What an *ensure* or an *absent* did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EnsureAction {
    /// Nothing: the game was as it is wanted.
    None,
    /// The game was not installed, and is now.
    Installed,
    /// It was here in another version.
    Updated,
    /// Files were missing or damaged.
    Repaired,
    /// It was installed, and its archives were not here.
    Downloaded,
    /// It was here, and is to be absent.
    Removed,
}

impl fmt::Display for EnsureAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "unchanged",
            Self::Installed => "installed",
            Self::Updated => "updated",
            Self::Repaired => "repaired",
            Self::Downloaded => "downloaded",
            Self::Removed => "removed",
        })
    }
}

impl Ensured {
    /// After this action on a game that is to be here.
    pub(crate) fn present(game: &GameId, version: Option<GameVersion>, action: EnsureAction) -> Self {
        let changed = action != EnsureAction::None;
        Self { game: game.clone(), present: true, version, action, changed, note: None }
    }

    /// A game that is to be absent, and was here or not.
    pub(crate) fn absent(game: &GameId, changed: bool) -> Self {
        let action = if changed { EnsureAction::Removed } else { EnsureAction::None };
        Self { game: game.clone(), present: false, version: None, action, changed, note: None }
    }
}
