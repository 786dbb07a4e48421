//! Answers that scripts ask for.

use lanspread_types::ids::{GameId, GameVersion};
use serde::{Deserialize, Serialize};

use crate::report::failure::Code;
use crate::report::operation::OperationKind;

/// A game that a pattern fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedGame {
    /// Which game.
    pub game: GameId,
}

/// What an update of a game on this machine would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameUpdate {
    /// Which game.
    pub game: GameId,
    /// Its title in the catalog, for people.
    pub title: Option<String>,
    /// Version that is downloaded.
    pub version: Option<GameVersion>,
    /// Version that is installed, according to its receipt.
    pub installed_version: Option<GameVersion>,
    /// The version that it would be updated to; none if that is not known.
    pub wanted: Option<GameVersion>,
    /// Whether an update would change anything.
    pub outdated: bool,
    /// Why the wanted version is not known: `not-in-catalog`, `not-offered`, `ambiguous-metadata`, or the code of the
    /// failure to ask peers.
    pub note: Option<Code>,
}

/// An operation of a daemon that the command does not follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetachedOperation {
    /// Its number, in this run of the daemon.
    pub operation: u64,
    /// What it does.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// Whether it was there already.
    pub joined: bool,
}

/// Which operation a client waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AwaitedOperation {
    /// The one of this number.
    Operation(u64),
    /// The newest one on this game.
    Game(GameId),
}
