//! All games of a games directory.

use std::fs;
use std::path::Path;

use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::limits;

use crate::state::game_state::GameState;

/// Reads the state of every game, sorted by id. A game that cannot be read is logged and left out, so that one bad
/// folder does not hide the others.
///
/// # Errors
/// If the games directory itself cannot be read.
pub fn scan(games_dir: &Path) -> Result<Vec<GameState>, LocalError> {
    let mut games = Vec::new();
    for entry in fs::read_dir(games_dir).map_err(LocalError::io("read", games_dir))? {
        let entry = entry.map_err(LocalError::io("read", games_dir))?;
        let Some(game) = entry.file_name().to_str().and_then(|name| name.parse::<GameId>().ok()) else {
            continue;
        };
        match GameState::read(games_dir, &game) {
            Ok(Some(state)) => games.push(state),
            Ok(None) => {}
            Err(error) => tracing::warn!("{game} is left out: {error}"),
        }
        if games.len() >= limits::GAMES_MAX {
            tracing::warn!("only {} games of {} are read", limits::GAMES_MAX, games_dir.display());
            break;
        }
    }
    games.sort_by(|one, other| one.game.cmp(&other.game));
    Ok(games)
}
