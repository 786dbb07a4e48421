//! Removing the downloaded files of a game: the sentinel first, the records last. All of it is recovered after a crash.

use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::GameId;
use lanspread_types::layout::{DOWNLOADING_DIR, SENTINEL_FILE};

use crate::error::StoreError;
use crate::install::{steps, transaction};
use crate::state::games_dir::{GamesDir, open_root};
use crate::state::intent::IntentStep;
use crate::state::record;
use crate::state::standing::{Standing, standing};

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Number of files in the game root.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes the downloaded files of a locked game. No transfer may still read them.
///
/// # Errors
/// [`StoreError::NotDownloaded`] if there is nothing to remove; failures of this machine's disk.
pub fn remove(games: &GamesDir, game: &GameId) -> Result<Removed, StoreError> {
    let removed = downloaded(games, game)?;
    transaction::run_without_return(games, game, IntentStep::Remove, steps::REMOVE, "removed")?;
    Ok(removed)
}

/// What [`remove`] would remove: the sentinel, archives with or without it, what an unfinished download has left, and a
/// record of files that are gone.
///
/// # Errors
/// As [`remove`].
pub fn downloaded(games: &GamesDir, game: &GameId) -> Result<Removed, StoreError> {
    let mut removed = Removed { files: 0, bytes: 0 };
    let mut has_partials = false;
    if standing(games, game, ".")? == Standing::Folder {
        let root = open_root(games, game)?;
        let archives = steps::archives(&root, &games.root_path(game))?;
        removed.files += archives.len() as u64;
        removed.bytes += archives.iter().map(|(_, bytes)| bytes).sum::<u64>();
        if standing(games, game, SENTINEL_FILE)? != Standing::Nothing {
            let shown = games.root_path(game).join(SENTINEL_FILE);
            let metadata = root.symlink_metadata(SENTINEL_FILE).map_err(LocalError::io("read", shown))?;
            removed.files += 1;
            removed.bytes += if metadata.is_file() { metadata.len() } else { 0 };
        }
        has_partials = match standing(games, game, DOWNLOADING_DIR)? {
            Standing::Nothing => false,
            Standing::Folder => true,
            Standing::Other => {
                let path = games.root_path(game).join(DOWNLOADING_DIR);
                let what = "is not a folder made by lanspread".to_owned();
                return Err(ForeignState { path, what }.into());
            }
        };
    }
    if removed.files == 0 && !has_partials && !record::exists(games, game)? {
        return Err(StoreError::NotDownloaded { game: game.clone(), path: games.root_path(game) });
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;
