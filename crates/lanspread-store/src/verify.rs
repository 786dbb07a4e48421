//! Compares a game with what was recorded when it was installed or downloaded.

pub mod comparison;
pub(crate) mod downloaded;
pub(crate) mod installed;
pub(crate) mod listed;
pub mod whole;

use std::sync::Arc;

use lanspread_trust::manifest::ManifestFile;
use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;

pub use self::comparison::INSTALLED;
use self::comparison::VerifyPart;
use self::downloaded::DownloadedFiles;
use crate::error::StoreError;
use crate::state::game_state::GameState;
use crate::state::games_dir::GamesDir;
use crate::state::tree::open_local;

/// The parts of a locked game that can be compared with a record; never empty. A tree of the manifest's version is
/// compared with the manifest, which makes its receipt *verified* if nothing differs.
///
/// # Errors
/// [`StoreError::NotInstalled`] if the game is neither installed nor downloaded, [`StoreError::NotVerifiable`] if it
/// is, but has no usable record; also [`StoreError::Foreign`] and failures of this machine's disk.
pub fn parts(
    games: &Arc<GamesDir>,
    game: &GameId,
    manifest: Option<&Arc<ManifestFile>>,
) -> Result<Vec<Box<dyn VerifyPart>>, StoreError> {
    let mut parts: Vec<Box<dyn VerifyPart>> = Vec::new();
    parts.extend(installed::find(games, game, manifest.cloned())?);
    if let Some(files) = DownloadedFiles::find(games, game, manifest)? {
        parts.push(Box::new(files));
    }
    if !parts.is_empty() {
        return Ok(parts);
    }
    let installed = open_local(games, game)?.is_some();
    let downloaded = GameState::read(games.path(), game)?.is_some_and(|state| state.downloaded());
    if installed || downloaded {
        let reason = "nothing records what was installed or downloaded".to_owned();
        return Err(StoreError::NotVerifiable { game: game.clone(), reason });
    }
    Err(StoreError::NotInstalled { game: game.clone(), path: games.root_path(game).join(LOCAL_DIR) })
}
