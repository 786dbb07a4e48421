//! What stands at one of our names in a game root.

use std::io;

use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;

use crate::state::games_dir::GamesDir;

/// What stands at one of our names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// A folder.
    Folder,
    /// A file, link or device.
    Other,
}

/// What stands at a name in a game root, links not followed.
pub fn standing(games: &GamesDir, game: &GameId, name: &str) -> Result<Standing, LocalError> {
    let path = std::path::Path::new(game.as_str()).join(name);
    match games.dir().symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(Standing::Folder),
        Ok(_) => Ok(Standing::Other),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Standing::Nothing)
        }
        Err(error) => Err(LocalError::io("read", games.path().join(path))(error)),
    }
}
