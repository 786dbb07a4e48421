//! Folders of a games directory that look like games and are not served, and why.
//!
//! An organiser who copied a folder must learn what is wrong with it. A folder looks like a game if it holds an archive
//! or a sentinel, in any case of letters. Other folders are not reported.

use std::fmt;
use std::fs;
use std::path::Path;

use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, WordError};
use lanspread_types::layout::{SENTINEL_FILE, is_archive_name};
use lanspread_types::limits;
use lanspread_types::text::printable;

/// A folder that is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its name, safe to print.
    pub folder: String,
    /// Why.
    pub reason: PassedOverReason,
}

/// Why a folder is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassedOverReason {
    /// Its name is not a game id.
    FolderName {
        /// The rule that the name breaks.
        rule: &'static str,
        /// A game id that looks like the name.
        suggestion: Option<GameId>,
    },
    /// It has archives and no sentinel.
    NoSentinel,
    /// The name of its sentinel has other letters.
    SentinelName(String),
    /// Its sentinel does not say a version.
    Sentinel(String),
    /// The system does not let it be read.
    Unreadable(String),
    /// So many others are passed over that these are not named.
    More(usize),
}

impl PassedOverReason {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FolderName { .. } => "folder-name",
            Self::NoSentinel => "no-sentinel",
            Self::SentinelName(_) => "sentinel-name",
            Self::Sentinel(_) => "sentinel-unusable",
            Self::Unreadable(_) => "folder-unreadable",
            Self::More(_) => "more-folders",
        }
    }

    /// The game id that the folder could have.
    pub fn suggestion(&self) -> Option<&GameId> {
        match self {
            Self::FolderName { suggestion, .. } => suggestion.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for PassedOverReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FolderName { rule, .. } => write!(formatter, "its name is not a game id: {rule}"),
            Self::NoSentinel => write!(formatter, "it has archives but no {SENTINEL_FILE}"),
            Self::SentinelName(name) => {
                write!(formatter, "its sentinel is called {name}, not {SENTINEL_FILE}")
            }
            Self::Sentinel(reason) => write!(formatter, "its {SENTINEL_FILE} is not usable: {reason}"),
            Self::Unreadable(reason) => formatter.write_str(reason),
            Self::More(count) => write!(formatter, "{count} more folders are passed over"),
        }
    }
}

/// Which names of a game a folder holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GameNames {
    /// Whether there is an archive.
    pub(crate) archive: bool,
    /// Whether there is a sentinel under its name.
    sentinel: bool,
    /// A name that differs from that of a sentinel only in the case of its letters.
    pub(crate) other_sentinel: Option<String>,
}

impl GameNames {
    /// Reads the names in a folder, up to [`limits::FOLDER_NAMES_READ_MAX`].
    pub(crate) fn read(folder: &Path) -> Result<Self, LocalError> {
        let mut names = Self::default();
        let entries = fs::read_dir(folder).map_err(LocalError::io("read", folder))?;
        for entry in entries.take(limits::FOLDER_NAMES_READ_MAX) {
            let entry = entry.map_err(LocalError::io("read", folder))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_archive_name(&name) {
                names.archive = true;
            } else if name == SENTINEL_FILE {
                names.sentinel = true;
            } else if name.eq_ignore_ascii_case(SENTINEL_FILE) {
                names.other_sentinel = Some(name);
            }
        }
        Ok(names)
    }

    fn look_like_a_game(&self) -> bool {
        self.archive || self.sentinel || self.other_sentinel.is_some()
    }
}

/// Why a folder whose name is not a game id is passed over; `None` if it does not look like a game.
pub fn misnamed(games_dir: &Path, name: &std::ffi::OsStr, error: &WordError) -> Option<PassedOver> {
    let path = games_dir.join(name);
    // A link to a folder counts as the folder, as for a game.
    if !path.is_dir() || !GameNames::read(&path).is_ok_and(|names| names.look_like_a_game()) {
        return None;
    }
    let name = name.to_string_lossy();
    let reason = PassedOverReason::FolderName { rule: error.rule, suggestion: GameId::like(&name) };
    Some(PassedOver { folder: shown(&name), reason })
}

/// The name of a folder, made safe to print.
pub(crate) fn shown(name: &str) -> String {
    printable(name, limits::COMPONENT_BYTES_MAX)
}
