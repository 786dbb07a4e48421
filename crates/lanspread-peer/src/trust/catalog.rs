//! The catalog of a peer: a list of known games that was read from a file. Its format is in `lanspread-trust`.

use std::path::{Path, PathBuf};

use lanspread_trust::catalog::{CatalogContent, CatalogGame, parse};
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use lanspread_types::regular_file::read_of_user;

use crate::trust::error::TrustError;

/// A list of known games.
#[derive(Debug, Clone)]
pub struct Catalog {
    path: PathBuf,
    content: CatalogContent,
}

impl Catalog {
    /// Reads and checks a catalog file. It may be a link: the organiser may keep it elsewhere.
    ///
    /// # Errors
    /// [`TrustError::Catalog`] with the line that is wrong.
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        let unusable = |reason: String| TrustError::Catalog { path: path.to_owned(), reason };
        let bytes = read_of_user(path, limits::CATALOG_BYTES_MAX);
        Self::of_bytes(path, &bytes.map_err(|error| unusable(error.to_string()))?)
    }

    /// Checks the bytes of a catalog file that was read.
    ///
    /// # Errors
    /// [`TrustError::Catalog`] with the line that is wrong.
    pub fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Self, TrustError> {
        let unusable = |reason: String| TrustError::Catalog { path: path.to_owned(), reason };
        let text = std::str::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8 text".to_owned()))?;
        Ok(Self { path: path.to_owned(), content: parse(text).map_err(unusable)? })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything that it says.
    pub fn content(&self) -> &CatalogContent {
        &self.content
    }

    /// The entry of a game.
    pub fn game(&self, game: &GameId) -> Option<&CatalogGame> {
        self.content.games.get(game)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both schemas, wherever a catalog is read.
    #[test]
    fn a_catalog_of_either_schema_names_games_and_what_is_wrong_with_it() {
        let game = "[games.a]\nname = 'A'\nversion = '7'\n";
        for head in ["schema = 1\n", "schema = 2\nversion = 1\n"] {
            let catalog = Catalog::of_bytes(Path::new("x.toml"), format!("{head}{game}").as_bytes()).unwrap();
            assert_eq!(catalog.game(&"a".parse().unwrap()).unwrap().version.as_str(), "7");
            let broken = format!("{head}{game}vresion = '1'\n");
            let reason = Catalog::of_bytes(Path::new("x.toml"), broken.as_bytes()).unwrap_err().to_string();
            assert!(reason.contains("x.toml") && reason.contains("line"), "{reason}");
        }
    }
}
