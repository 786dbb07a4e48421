//! What is here of a game against what was recorded when it came here.

pub mod comparison;
mod downloaded;
mod installed;

use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;

use self::comparison::VerifyPart;
use self::downloaded::DownloadedFiles;
use self::installed::InstalledTree;
use crate::error::StoreError;
use crate::state::game_state::GameState;
use crate::state::games_dir::GamesDir;
use crate::state::tree::open_local;

/// Everything of a locked game that has a record to be compared with; never empty.
///
/// # Errors
/// [`StoreError::NotInstalled`] when nothing is here, [`StoreError::NotVerifiable`] when nothing records what is.
pub fn parts(games: &GamesDir, game: &GameId) -> Result<Vec<Box<dyn VerifyPart>>, StoreError> {
    let mut parts: Vec<Box<dyn VerifyPart>> = Vec::new();
    if let Some(tree) = InstalledTree::find(games, game)? {
        parts.push(Box::new(tree));
    }
    if let Some(files) = DownloadedFiles::find(games, game)? {
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
