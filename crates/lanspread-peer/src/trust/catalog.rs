//! The catalog of a peer: a file that is read, and read again after it changes. Its format is in `lanspread-trust`.
//!
//! A file that was named is the user's own: it is trusted as it is, signed or not. What its manifests say is kept, but
//! nothing that arrives is compared with them yet.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

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

/// A catalog file that is read again after it changes, so that an organiser can edit it while a daemon runs.
#[derive(Debug)]
pub(crate) struct LiveCatalog {
    path: PathBuf,
    read: Mutex<(Option<Stamp>, Arc<Catalog>)>,
}

/// Identifies one state of a file.
type Stamp = (SystemTime, u64, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

impl LiveCatalog {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// [`TrustError::Catalog`] with the line that is wrong.
    pub(crate) fn load(path: &Path) -> Result<Self, TrustError> {
        // Taken before the file is read: a change in the meantime causes another read.
        let stamp = stamp(path);
        let catalog = Arc::new(Catalog::load(path)?);
        Ok(Self { path: path.to_owned(), read: Mutex::new((stamp, catalog)) })
    }

    /// Where it is read from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The catalog as the file is now. If the file is gone or invalid, that is logged once and the previous catalog
    /// stays in force.
    pub(crate) fn current(&self) -> Arc<Catalog> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.path);
        if now != read.0 {
            read.0 = now;
            match Catalog::load(&self.path) {
                Ok(catalog) => read.1 = Arc::new(catalog),
                Err(error) => tracing::warn!("the previous catalog stays in force: {error}"),
            }
        }
        Arc::clone(&read.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_is_read_again_after_a_change_and_stays_in_force_after_an_invalid_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.toml");
        let write = |text: &str| {
            // As an editor does: replaces the file by another one.
            std::fs::write(folder.path().join("new"), text).unwrap();
            std::fs::rename(folder.path().join("new"), &path).unwrap();
        };
        let game = "a".parse().unwrap();
        let with = |version: &str| format!("schema = 1\n[games.a]\nname = 'A'\nversion = '{version}'\n");
        write(&with("1"));
        let live = LiveCatalog::load(&path).unwrap();
        let version = || live.current().game(&game).map(|known| known.version.to_string());
        assert_eq!(version().as_deref(), Some("1"));
        write(&with("2"));
        assert_eq!(version().as_deref(), Some("2"));
        write("nonsense");
        assert_eq!(version().as_deref(), Some("2"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(version().as_deref(), Some("2"));
        write("schema = 1\n");
        assert_eq!(version(), None);
    }

    #[test]
    fn a_catalog_may_be_a_link_but_not_a_pipe_and_not_huge() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.toml");
        std::fs::write(folder.path().join("elsewhere"), "schema = 1\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        let live = LiveCatalog::load(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let refused = |reason: &str| {
            let error = Catalog::load(&path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            // A running daemon keeps the one it has.
            live.current();
            std::fs::remove_file(&path).unwrap();
        };
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        refused("a pipe");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        refused("larger than");
        std::fs::write(&path, b"schema = 1 # \xff").unwrap();
        refused("UTF-8");
    }

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
