//! Removing the downloaded files of a game: the sentinel first, the record last.

use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::{DOWNLOADING_DIR, SENTINEL_FILE};

use crate::download::commit;
use crate::error::StoreError;
use crate::install::{steps, transaction};
use crate::state::games_dir::{GamesDir, open_root};
use crate::state::intent::IntentStep;
use crate::state::standing::{Standing, standing};

/// What was removed.
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
    commit::forget_partials(games, game)?;
    transaction::run_without_return(games, game, IntentStep::Remove, steps::REMOVE, "removed")?;
    // Last: if the process is killed before, the files that are left can still be verified and removed.
    commit::forget_receipt(games, game)?;
    Ok(removed)
}

/// What there is to remove: the sentinel, archives with or without it, and what an unfinished download has left.
fn downloaded(games: &GamesDir, game: &GameId) -> Result<Removed, StoreError> {
    let not_downloaded = || StoreError::NotDownloaded { game: game.clone(), path: games.root_path(game) };
    if standing(games, game, ".")? != Standing::Folder {
        return Err(not_downloaded());
    }
    let root = open_root(games, game)?;
    let archives = steps::archives(&root, &games.root_path(game))?;
    let mut removed =
        Removed { files: archives.len() as u64, bytes: archives.iter().map(|(_, bytes)| bytes).sum() };
    if standing(games, game, SENTINEL_FILE)? != Standing::Nothing {
        let shown = games.root_path(game).join(SENTINEL_FILE);
        let metadata = root.symlink_metadata(SENTINEL_FILE).map_err(LocalError::io("read", shown))?;
        removed.files += 1;
        removed.bytes += if metadata.is_file() { metadata.len() } else { 0 };
    }
    let has_partials = standing(games, game, DOWNLOADING_DIR)? == Standing::Folder;
    if removed.files == 0 && !has_partials { Err(not_downloaded()) } else { Ok(removed) }
}
