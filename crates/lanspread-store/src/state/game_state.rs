//! The state of one game, read from its game root and its receipt.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lanspread_archive::set::{ArchiveSet, VolumeGap};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{Availability, InstallTrust, RootFile};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::layout::is_archive_name;
use lanspread_types::{layout, limits};

use crate::state::games_dir::GamesDir;
use crate::state::passed_over::{GameNames, PassedOverReason};
use crate::state::receipt::ReceiptHead;
use crate::state::receipt_reader::ReceiptError;
use crate::state::sentinel::{Sentinel, read_sentinel};
use crate::state::{intent, receipt_reader, record};

/// The state of one game on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameState {
    /// Which game.
    pub game: GameId,
    /// Its game root.
    pub root: PathBuf,
    /// Version in the sentinel; `None` without a valid sentinel.
    pub version: Option<GameVersion>,
    /// Whether `local/` exists, is a folder, and is not being removed.
    pub installed: bool,
    /// Version of the installed tree; `None` if there is no tree or no receipt with its version.
    pub installed_version: Option<GameVersion>,
    /// Whether the installed tree was compared with a manifest; `None` as for the version.
    pub installed_trust: Option<InstallTrust>,
    /// Whether the root files were compared with a manifest; `None` if no receipt is about their version.
    pub downloaded_trust: Option<InstallTrust>,
    /// The manifest with which it was compared; `None` if it was not.
    pub installed_manifest: Option<ContentDigest>,
    /// Root archives and sentinel, sorted by name; empty if the game is not downloaded.
    pub root_files: Vec<RootFile>,
    /// Why it is not served although it looks like a downloaded game.
    pub problem: Option<PassedOverReason>,
}

impl GameState {
    /// Reads the state of one game; `None` if it has no game root.
    ///
    /// # Errors
    /// If the game root or a file in it cannot be read.
    pub fn read(games_dir: &Path, game: &GameId) -> Result<Option<Self>, LocalError> {
        let root = games_dir.join(game.as_str());
        match fs::metadata(&root) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LocalError::io("read", &root)(error)),
        }
        let installed = fs::symlink_metadata(root.join(layout::LOCAL_DIR))
            .is_ok_and(|metadata| metadata.is_dir())
            && !intent::removes_in_place(games_dir, game);
        let (version, problem) = match read_sentinel(&root.join(layout::SENTINEL_FILE))? {
            Sentinel::Version(version) => (Some(version), None),
            Sentinel::Unusable(reason) => (None, Some(PassedOverReason::Sentinel(reason))),
            Sentinel::Absent => (None, without_sentinel(games_dir, game, &root)?),
        };
        let root_files = if version.is_some() { read_root_files(&root)? } else { Vec::new() };
        let downloaded_trust =
            version.as_ref().and_then(|version| read_downloaded_trust(games_dir, game, version));
        let receipt = if installed { read_receipt_head(games_dir, game) } else { None };
        let installed_trust = receipt.as_ref().map(|head| head.trust);
        let installed_manifest = receipt.as_ref().and_then(|head| head.manifest);
        let installed_version = receipt.map(|head| head.version);
        Ok(Some(Self {
            game: game.clone(),
            root,
            version,
            installed,
            installed_version,
            installed_trust,
            downloaded_trust,
            installed_manifest,
            root_files,
            problem,
        }))
    }

    /// Whether there is a valid sentinel.
    pub fn downloaded(&self) -> bool {
        self.version.is_some()
    }

    /// The version of what is here: of the installed tree, or else of the archives.
    pub fn version_here(&self) -> Option<&GameVersion> {
        self.installed_version.as_ref().or(self.version.as_ref())
    }

    /// What this machine can do with the game.
    pub fn availability(&self) -> Availability {
        match (self.downloaded(), self.installed) {
            (true, _) => Availability::Ready,
            (false, true) => Availability::LocalOnly,
            (false, false) => Availability::Incomplete,
        }
    }

    /// Its archives, in the order in which they are streamed.
    ///
    /// # Errors
    /// [`VolumeGap`] if a volume is missing or there twice.
    pub fn archives(&self) -> Result<Vec<ArchiveSet>, VolumeGap> {
        let names =
            self.root_files.iter().map(|file| file.name.as_str()).filter(|name| is_archive_name(name));
        ArchiveSet::group(&self.root, names)
    }

    /// Bytes of its root files.
    pub fn root_bytes(&self) -> u64 {
        self.root_files.iter().map(|file| file.size).sum()
    }
}

/// What the receipt says about the downloaded files. One that cannot be read is logged, and hides nothing else.
fn read_downloaded_trust(games_dir: &Path, game: &GameId, version: &GameVersion) -> Option<InstallTrust> {
    let games = GamesDir::open(games_dir);
    games.and_then(|games| record::trust::downloaded_trust(&games, game, version)).unwrap_or_else(|error| {
        tracing::warn!("whether the downloaded files of {game} are verified is not known: {error}");
        None
    })
}

/// The first line of the receipt. A receipt that cannot be read is logged, and hides nothing else.
fn read_receipt_head(games_dir: &Path, game: &GameId) -> Option<ReceiptHead> {
    let games = GamesDir::open(games_dir).map_err(ReceiptError::from);
    games.and_then(|games| receipt_reader::head(&games, game)).unwrap_or_else(|error| {
        tracing::warn!("the installed version of {game} is not known: {error}");
        None
    })
}

/// Why a game root without a sentinel looks like a downloaded game, if it does.
fn without_sentinel(
    games_dir: &Path,
    game: &GameId,
    root: &Path,
) -> Result<Option<PassedOverReason>, LocalError> {
    let names = GameNames::read(root)?;
    let reason = match names.other_sentinel {
        Some(name) => PassedOverReason::SentinelName(name),
        None if names.archive => PassedOverReason::NoSentinel,
        None => return Ok(None),
    };
    // An operation that puts files in their places writes the sentinel last.
    let is_changing = intent::is_recorded(games_dir, game) || record::is_begun(games_dir, game);
    Ok((!is_changing).then_some(reason))
}

fn read_root_files(root: &Path) -> Result<Vec<RootFile>, LocalError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).map_err(LocalError::io("read", root))? {
        let entry = entry.map_err(LocalError::io("read", root))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name != layout::SENTINEL_FILE && !is_archive_name(&name) {
            continue;
        }
        // Follows links: the user may keep an archive elsewhere.
        let metadata = fs::metadata(entry.path()).map_err(LocalError::io("read", entry.path()))?;
        if metadata.is_file() {
            files.push(RootFile { name, size: metadata.len() });
        }
        if files.len() > limits::ROOT_FILES_MAX {
            tracing::warn!(
                "{} holds more than {} archives; the rest is ignored",
                root.display(),
                limits::ROOT_FILES_MAX
            );
            break;
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(setup: impl FnOnce(&Path)) -> GameState {
        let games = tempfile::tempdir().unwrap();
        let root = games.path().join("g");
        fs::create_dir(&root).unwrap();
        setup(&root);
        GameState::read(games.path(), &"g".parse().unwrap()).unwrap().unwrap()
    }

    #[test]
    fn a_downloaded_game_offers_archives_and_sentinel_only() {
        let state = state(|root| {
            for name in ["b.eti", "a.ETI", "version.ini", "readme.txt"] {
                fs::write(root.join(name), "1").unwrap();
            }
            fs::create_dir(root.join("dir.eti")).unwrap();
            fs::create_dir(root.join("local")).unwrap();
        });
        let names: Vec<&str> = state.root_files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a.ETI", "b.eti", "version.ini"]);
        assert_eq!(state.availability(), Availability::Ready);
        assert_eq!(state.archives().unwrap().len(), 2);
    }

    #[test]
    fn the_version_here_is_that_of_the_tree_or_else_of_the_archives() {
        let here = state(|root| fs::write(root.join("version.ini"), "1").unwrap());
        assert_eq!(here.version_here().map(GameVersion::as_str), Some("1"));
        let installed = GameState { installed_version: Some("2".parse().unwrap()), ..here.clone() };
        assert_eq!(installed.version_here().map(GameVersion::as_str), Some("2"));
        assert_eq!(GameState { version: None, ..here }.version_here(), None);
    }

    #[test]
    fn without_a_sentinel_nothing_is_offered() {
        let state = state(|root| {
            fs::write(root.join("a.eti"), "1").unwrap();
            fs::create_dir(root.join("local")).unwrap();
        });
        assert_eq!(state.availability(), Availability::LocalOnly);
        assert!(state.root_files.is_empty());
    }

    #[test]
    fn a_link_named_local_is_not_an_installed_tree() {
        let state = state(|root| std::os::unix::fs::symlink("/", root.join("local")).unwrap());
        assert!(!state.installed);
    }
}
