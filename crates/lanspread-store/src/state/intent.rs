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
    /// `local/` is being renamed to the backup, which is then removed.
    Uninstall,
    /// The sentinel is being removed, then the archives.
    Remove,
}

impl IntentStep {
    /// The word for the step in the name of a mark. None if the operation does not free space.
    fn mark_word(self) -> Option<&'static str> {
        match self {
            Self::Uninstall => Some("uninstall"),
            Self::Remove => Some("remove"),
            Self::InstallBegin | Self::InstallPromote | Self::UpdateBegin | Self::UpdatePromote => None,
        }
    }
}

/// The steps whose intent can be a mark.
const MARKED: [IntentStep; 2] = [IntentStep::Uninstall, IntentStep::Remove];

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

/// Reads the intent of a game.
pub(crate) fn read(games: &GamesDir, game: &GameId) -> Result<Option<Intent>, StoreError> {
    let name = file_name(game);
    let shown = games.state_path(INTENTS_DIR, &name);
    let Some(intents) = games.existing_state_folder(INTENTS_DIR)? else { return Ok(read_mark(games, game)) };
    let read = if_present(open_ours(&intents, &name))
        .and_then(|file| file.map(|file| read_whole(&file, limits::INTENT_BYTES_MAX)).transpose());
    let Some(bytes) = read.map_err(|error| error.of_ours("read", &shown))? else {
        return Ok(read_mark(games, game));
    };
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

/// Records an intent, durably. It replaces an earlier one.
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
    let beside = format!("{name}.new");
    let shown = games.state_path(INTENTS_DIR, &name);
    let bytes = serde_json::to_vec(intent).map_err(|error| LocalError::io("write", &shown)(error.into()))?;
    let create = |intents: &_, name: &str| create_ours(intents, name, FILE_PERMISSIONS);
    let (intents, mut file) = games.state_file(INTENTS_DIR, &beside, create)?;
    let written = games
        .refuse_if_full()
        .and_then(|()| file.write_all(&bytes))
        .map_err(LocalError::io("write", &shown))
        .and_then(|()| file.sync_all().map_err(LocalError::io("sync", &shown)))
        .and_then(|()| intents.rename(&beside, &intents, &name).map_err(LocalError::io("write", &shown)));
    if let Err(error) = written {
        // What was not written must not stay behind.
        if let Err(error) = intents.remove_file(&beside) {
            tracing::debug!("{beside} cannot be removed: {error}");
        }
        games.remove_empty_state_folders();
        return Err(error);
    }
    sync_folder(&intents, &shown)
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
    let removed = |result: io::Result<()>, shown: &Path| match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LocalError::io("remove", shown)(error)),
    };
    let name = file_name(game);
    if let Some(intents) = games.existing_state_folder(INTENTS_DIR)? {
        let shown = games.state_path(INTENTS_DIR, &name);
        for file in [format!("{name}.new"), name] {
            removed(intents.remove_file(&file), &shown)?;
        }
        sync_folder(&intents, &shown)?;
    }
    for (_, mark) in marks(game) {
        // Whatever else is under this name is not ours.
        let is_mark = games.dir().symlink_metadata(&mark).is_ok_and(|found| found.is_file());
        if is_mark && removed(games.dir().remove_file(&mark), &games.path().join(&mark))? {
            sync_folder(games.dir(), games.path())?;
        }
    }
    Ok(())
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
