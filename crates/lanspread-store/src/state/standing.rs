//! What is in a game root under one of our names.

use std::io;

use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;

use crate::state::games_dir::GamesDir;

/// What is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// A folder.
    Folder,
    /// A file, link or device.
    Other,
}

/// What is under a name in a game root. A link under this name is not followed.
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
