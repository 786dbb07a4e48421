//! What an *ensure* wants of a game: in which version, and what is to be on this machine.

use std::str::FromStr;

use lanspread_types::ids::{GameVersion, WordError};
use serde::{Deserialize, Serialize};

/// Which version of a game is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum WantedVersion {
    /// The one that the catalog names, or without a catalog the one that most peers have.
    #[default]
    Current,
    /// What is here, whatever its version is. If nothing is here, the current one.
    Any,
    /// This one.
    Exactly {
        /// The version.
        version: GameVersion,
    },
}

impl WantedVersion {
    /// The version that was asked for by its name.
    pub fn exactly(&self) -> Option<&GameVersion> {
        match self {
            Self::Exactly { version } => Some(version),
            Self::Current | Self::Any => None,
        }
    }
}

impl FromStr for WantedVersion {
    type Err = WordError;

    /// `any`, `current`, or a version.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(match word {
            "any" => Self::Any,
            "current" => Self::Current,
            version => Self::Exactly { version: version.parse()? },
        })
    }
}

/// What of an installed game is to be on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GameForm {
    /// The installed tree, and the archives if they are here already.
    #[default]
    AsHere,
    /// The installed tree. Archives are not needed.
    Streamed,
    /// The installed tree and the archives.
    Archives,
}
