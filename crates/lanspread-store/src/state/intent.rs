//! What an operation is about to do, recorded on disk before it does it.
//!
//! An intent is one small JSON file per game below `.lanspread/intents/`. It is replaced atomically and durably: a new
//! file is written and synced, then renamed over the old one, and the folder is synced. It exists from before the first
//! change of an operation until after its last one.
//!
//! On a full disk no such file can be written. An operation that frees space then records its intent as a *mark*: an
//! empty file in the games directory whose name says everything. If there is not even room for another file, the mark is
//! a second name of a file that is about to be removed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::GameId;
use lanspread_types::layout::{
    DOWNLOADS_DIR, INTENTS_DIR, MARK_PREFIX, RECEIPTS_DIR, SENTINEL_FILE, STATE_DIR,
};
use lanspread_types::limits;
use lanspread_types::regular_file::{FileError, create_ours, if_present, open_ours, read_whole};
use rustix::fs::AtFlags;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::state::disk_calls::sync_file;
use crate::state::games_dir::{FILE_PERMISSIONS, GamesDir, sync_folder};

/// The one schema that exists.
const SCHEMA: u32 = 1;

/// A recorded intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    schema: u32,
    /// The operation and its recorded step.
    pub(crate) step: IntentStep,
    /// Whether the operation created the game root, so that a roll-back removes it again.
    pub(crate) created_root: bool,
}

/// An operation and how far it is. `install::recovery` decides what becomes of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntentStep {
    /// Staging may exist and may hold anything; there was no `local/`.
    InstallBegin,
    /// Staging is complete, verified and durable, and is being renamed to `local/`.
    InstallPromote,
    /// Staging may exist and may hold anything; `local/` is the old tree.
    UpdateBegin,
    /// Staging is complete, verified and durable: `local/` becomes the backup, staging becomes `local/`, and the backup
    /// is removed.
    UpdatePromote,
    /// As [`Self::UpdatePromote`], but `local/` cannot be renamed: it is being removed where it is, and staging then
    /// becomes `local/`.
    UpdateInPlace,
    /// `local/` is being renamed to the backup, which is then removed.
    Uninstall,
    /// `local/` cannot be renamed and is being removed where it is.
    UninstallInPlace,
    /// The sentinel is being removed, then the archives.
    Remove,
    /// Staging may exist and may hold anything; `local/` is the tree that is repaired.
    RepairBegin,
    /// Staging has whole, verified and durable entries, which are being renamed to their places in `local/`.
    RepairPromote,
}

impl IntentStep {
    /// The word for the step in the name of a mark. None if the operation does not free space.
    fn mark_word(self) -> Option<&'static str> {
        match self {
            Self::Uninstall => Some("uninstall"),
            Self::UninstallInPlace => Some("uninstall-in-place"),
            Self::Remove => Some("remove"),
            Self::InstallBegin
            | Self::InstallPromote
            | Self::UpdateBegin
            | Self::UpdatePromote
            | Self::UpdateInPlace
            | Self::RepairBegin
            | Self::RepairPromote => None,
        }
    }
}

/// The steps whose intent can be a mark. If there are two marks, the one that comes first here is the newer one.
const MARKED: [IntentStep; 3] = [IntentStep::UninstallInPlace, IntentStep::Uninstall, IntentStep::Remove];

/// Names of the marks that a game can have, with their steps.
fn marks(game: &GameId) -> impl Iterator<Item = (IntentStep, String)> {
    let named = move |step: IntentStep| Some((step, format!("{MARK_PREFIX}{}.{game}", step.mark_word()?)));
    MARKED.into_iter().filter_map(named)
}

/// The game that a mark with this name is about.
pub fn game_of_mark(name: &str) -> Option<GameId> {
    let mark = name.strip_prefix(MARK_PREFIX)?;
    let game = MARKED.iter().find_map(|step| mark.strip_prefix(step.mark_word()?)?.strip_prefix('.'));
    game?.parse().ok()
}

impl Intent {
    /// An intent at this step, of an operation that has not created the game root.
    pub fn new(step: IntentStep) -> Self {
        Self { schema: SCHEMA, step, created_root: false }
    }

    /// Whether the installed tree is being removed where it is, so that it may be incomplete.
    pub(crate) fn is_in_place(&self) -> bool {
        matches!(self.step, IntentStep::UpdateInPlace | IntentStep::UninstallInPlace)
    }

    /// The same operation if the installed tree cannot be renamed; nothing for an operation that does not rename it.
    pub(crate) fn in_place(&self) -> Option<Self> {
        match self.step {
            IntentStep::UpdatePromote => Some(self.at(IntentStep::UpdateInPlace)),
            IntentStep::Uninstall => Some(self.at(IntentStep::UninstallInPlace)),
            _ => None,
        }
    }

    /// The same operation at another step.
    pub(crate) fn at(&self, step: IntentStep) -> Self {
        Self { step, ..self.clone() }
    }
}

fn file_name(game: &GameId) -> String {
    format!("{game}.json")
}

/// Whether an operation, in this or another process, has recorded an intent for the game.
pub fn is_recorded(games_dir: &Path, game: &GameId) -> bool {
    // Also a link or a pipe: it is reported when an operation reads it, and until then nothing is certain.
    let is_file = |path: PathBuf| path.symlink_metadata().is_ok_and(|found| found.is_file());
    games_dir.join(STATE_DIR).join(INTENTS_DIR).join(file_name(game)).symlink_metadata().is_ok()
        || marks(game).any(|(_, mark)| is_file(games_dir.join(mark)))
}

/// Whether the installed tree of a game is being removed where it is: it is then no longer whole.
pub(crate) fn removes_in_place(games_dir: &Path, game: &GameId) -> bool {
    is_recorded(games_dir, game)
        && GamesDir::open(games_dir).is_ok_and(|games| {
            read(&games, game).is_ok_and(|intent| intent.is_some_and(|intent| intent.is_in_place()))
        })
}

/// Reads the intent of a game. A mark is newer than the file beside it.
pub(crate) fn read(games: &GamesDir, game: &GameId) -> Result<Option<Intent>, StoreError> {
    if let Some(marked) = read_mark(games, game) {
        return Ok(Some(marked));
    }
    let name = file_name(game);
    let shown = games.state_path(INTENTS_DIR, &name);
    let Some(intents) = games.existing_state_folder(INTENTS_DIR)? else { return Ok(None) };
    let read = if_present(open_ours(&intents, &name))
        .and_then(|file| file.map(|file| read_whole(&file, limits::INTENT_BYTES_MAX)).transpose());
    let Some(bytes) = read.map_err(|error| error.of_ours("read", &shown))? else { return Ok(None) };
    match parse(&bytes) {
        Ok(intent) => Ok(Some(intent)),
        Err(what) => Err(ForeignState { path: shown, what }.into()),
    }
}

fn read_mark(games: &GamesDir, game: &GameId) -> Option<Intent> {
    let is_there = |mark: &str| games.dir().symlink_metadata(mark).is_ok_and(|found| found.is_file());
    marks(game).find(|(_, mark)| is_there(mark)).map(|(step, _)| Intent::new(step))
}

fn parse(bytes: &[u8]) -> Result<Intent, String> {
    let intent: Intent = serde_json::from_slice(bytes)
        .map_err(|error| format!("is not an intent of this version ({error})"))?;
    if intent.schema != SCHEMA {
        return Err(format!("has schema {}, this program writes schema {SCHEMA}", intent.schema));
    }
    Ok(intent)
}

/// Records an intent, durably. It replaces an earlier one. If that fails before the rename, the earlier one is still
/// there, and nothing else.
pub fn write(games: &GamesDir, game: &GameId, intent: &Intent) -> Result<(), LocalError> {
    let full = match write_file(games, game, intent) {
        Err(error) if error.is_disk_full() => error,
        other => return other,
    };
    let Some((_, mark)) = marks(game).find(|(step, _)| *step == intent.step) else { return Err(full) };
    match make_mark(games, game, &mark) {
        Ok(()) => sync_folder(games.dir(), games.path()),
        Err(error) => {
            tracing::debug!("{mark} cannot be created either: {error}");
            Err(full)
        }
    }
}

fn write_file(games: &GamesDir, game: &GameId, intent: &Intent) -> Result<(), LocalError> {
    let name = file_name(game);
    let shown = games.state_path(INTENTS_DIR, &name);
    let beside = beside(&name);
    let bytes = serde_json::to_vec(intent).map_err(|error| LocalError::io("write", &shown)(error.into()))?;
    let create = |intents: &_, name: &str| create_ours(intents, name, FILE_PERMISSIONS);
    let (intents, mut file) = games.state_file(INTENTS_DIR, &beside, create)?;
    let written = games
        .refuse_if_full()
        .and_then(|()| file.write_all(&bytes))
        .map_err(LocalError::io("write", &shown))
        .and_then(|()| sync_file(&file, &shown).map_err(LocalError::io("sync", &shown)))
        .and_then(|()| intents.rename(&beside, &intents, &name).map_err(LocalError::io("write", &shown)));
    if let Err(error) = written {
        if let Err(error) = absent_is_fine(intents.remove_file(&beside)) {
            tracing::debug!("{beside} is left to recovery: {error}");
        }
        games.remove_empty_state_folders();
        return Err(error);
    }
    sync_folder(&intents, &shown)?;
    // A mark that was made before there was space again would count more.
    clear_marks(games, game)
}

/// Name under which an intent is written before it replaces the earlier one.
fn beside(name: &str) -> String {
    format!("{name}.new")
}

/// Creates a mark: an empty file, or a second name of a file of the game if no file can be created.
fn make_mark(games: &GamesDir, game: &GameId, mark: &str) -> Result<(), FileError> {
    match create_ours(games.dir(), mark, FILE_PERMISSIONS) {
        Ok(_) => Ok(()),
        Err(error) => {
            if second_name(games, game, mark) {
                Ok(())
            } else {
                Err(error)
            }
        }
    }
}

/// Gives a file that is about to be removed, or one of our records, a second name. It takes no inode.
fn second_name(games: &GamesDir, game: &GameId, mark: &str) -> bool {
    let state = Path::new(STATE_DIR);
    let files = [
        state.join(RECEIPTS_DIR).join(format!("{game}.jsonl")),
        state.join(DOWNLOADS_DIR).join(format!("{game}.jsonl")),
        Path::new(game.as_str()).join(SENTINEL_FILE),
    ];
    let is_file = |file: &Path| games.dir().symlink_metadata(file).is_ok_and(|found| found.is_file());
    let link =
        |file: &PathBuf| rustix::fs::linkat(games.dir(), file, games.dir(), mark, AtFlags::empty()).is_ok();
    files.iter().filter(|file| is_file(file)).any(link)
}

/// Removes the intent of a game, durably, if there is one.
pub fn clear(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let name = file_name(game);
    if let Some(intents) = games.existing_state_folder(INTENTS_DIR)? {
        let shown = games.state_path(INTENTS_DIR, &name);
        for file in [beside(&name), name] {
            absent_is_fine(intents.remove_file(&file)).map_err(LocalError::io("remove", &shown))?;
        }
        sync_folder(&intents, &shown)?;
    }
    clear_marks(games, game)
}

fn clear_marks(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    for (_, mark) in marks(game) {
        // Whatever else is under this name is not ours.
        if games.dir().symlink_metadata(&mark).is_ok_and(|found| found.is_file()) {
            let removed = absent_is_fine(games.dir().remove_file(&mark));
            removed.map_err(LocalError::io("remove", games.path().join(&mark)))?;
            sync_folder(games.dir(), games.path())?;
        }
    }
    Ok(())
}

/// Removes what a process that was killed while it recorded an intent has left beside it. The game is locked.
pub(crate) fn remove_unwritten(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(intents) = games.existing_state_folder(INTENTS_DIR)? else { return Ok(()) };
    let beside = beside(&file_name(game));
    absent_is_fine(intents.remove_file(&beside))
        .map_err(LocalError::io("remove", games.state_path(INTENTS_DIR, &beside)))
}

/// All games beside whose intent a killed process has left something, for recovery.
pub(crate) fn unwritten(games: &GamesDir) -> Result<Vec<GameId>, LocalError> {
    games.games_with_state(INTENTS_DIR, &beside(".json"))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// All games with an intent, for recovery.
pub(crate) fn recorded(games: &GamesDir) -> Result<Vec<GameId>, LocalError> {
    let mut recorded = games.games_with_state(INTENTS_DIR, ".json")?;
    for entry in games.dir().entries().map_err(LocalError::io("read", games.path()))? {
        let name = entry.map_err(LocalError::io("read", games.path()))?.file_name();
        recorded.extend(name.to_str().and_then(game_of_mark));
    }
    Ok(recorded)
}

#[cfg(test)]
mod tests;
