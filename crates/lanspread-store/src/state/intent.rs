//! What an operation is about to do, recorded on disk before it does it.
//!
//! An intent is one small JSON file per game below `.lanspread/intents/`. It is replaced atomically and durably: a new
//! file is written and synced, then renamed over the old one, and the folder is synced. It exists from before the first
//! change of an operation until after its last one.

use std::io::{self, Read, Write};
use std::path::Path;

use cap_std::fs::Dir;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::GameId;
use lanspread_types::layout::{INTENTS_DIR, STATE_DIR};
use lanspread_types::limits;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::state::disk_calls::sync_file;
use crate::state::games_dir::{GamesDir, create_afresh, sync_folder};

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
    games_dir.join(STATE_DIR).join(INTENTS_DIR).join(file_name(game)).exists()
}

/// Whether the installed tree of a game is being removed where it is: it is then no longer whole.
pub(crate) fn removes_in_place(games_dir: &Path, game: &GameId) -> bool {
    is_recorded(games_dir, game)
        && GamesDir::open(games_dir).is_ok_and(|games| {
            read(&games, game).is_ok_and(|intent| intent.is_some_and(|intent| intent.is_in_place()))
        })
}

/// Reads the intent of a game.
pub(crate) fn read(games: &GamesDir, game: &GameId) -> Result<Option<Intent>, StoreError> {
    let name = file_name(game);
    let shown = games.state_path(INTENTS_DIR, &name);
    let Some(intents) = games.existing_state_folder(INTENTS_DIR)? else { return Ok(None) };
    let file = match intents.open(&name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LocalError::io("read", &shown)(error).into()),
    };
    let mut bytes = Vec::new();
    file.take(limits::INTENT_BYTES_MAX).read_to_end(&mut bytes).map_err(LocalError::io("read", &shown))?;
    match parse(&bytes) {
        Ok(intent) => Ok(Some(intent)),
        Err(what) => Err(ForeignState { path: shown, what }.into()),
    }
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
    let name = file_name(game);
    let shown = games.state_path(INTENTS_DIR, &name);
    let intents = games.state_folder(INTENTS_DIR)?;
    let beside = beside(&name);
    if let Err(error) = write_beside(&intents, &beside, &shown, intent) {
        if let Err(error) = absent_is_fine(intents.remove_file(&beside)) {
            tracing::debug!("{beside} is left to recovery: {error}");
        }
        return Err(error);
    }
    intents.rename(&beside, &intents, &name).map_err(LocalError::io("write", &shown))?;
    sync_folder(&intents, &shown)
}

fn write_beside(intents: &Dir, beside: &str, shown: &Path, intent: &Intent) -> Result<(), LocalError> {
    let bytes = serde_json::to_vec(intent).map_err(|error| LocalError::io("write", shown)(error.into()))?;
    let mut file = create_afresh(intents, beside).map_err(LocalError::io("create", shown))?;
    file.write_all(&bytes).map_err(LocalError::io("write", shown))?;
    sync_file(&file, shown).map_err(LocalError::io("sync", shown))
}

/// Name under which an intent is written before it replaces the earlier one.
fn beside(name: &str) -> String {
    format!("{name}.new")
}

/// Removes the intent of a game, durably, if there is one.
pub fn clear(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let name = file_name(game);
    let shown = games.state_path(INTENTS_DIR, &name);
    let Some(intents) = games.existing_state_folder(INTENTS_DIR)? else { return Ok(()) };
    for file in [beside(&name), name] {
        absent_is_fine(intents.remove_file(&file)).map_err(LocalError::io("remove", &shown))?;
    }
    sync_folder(&intents, &shown)
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
    games.games_with_state(INTENTS_DIR, ".json")
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::state::disk_calls::script;

    #[test]
    fn an_intent_is_read_as_it_was_written_until_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        let game: GameId = "g".parse().unwrap();
        assert_eq!(read(&games, &game).unwrap(), None);
        for step in [
            IntentStep::InstallBegin,
            IntentStep::UpdatePromote,
            IntentStep::UpdateInPlace,
            IntentStep::UninstallInPlace,
            IntentStep::Remove,
        ] {
            let intent = Intent { created_root: step == IntentStep::InstallBegin, ..Intent::new(step) };
            write(&games, &game, &intent).unwrap();
            assert_eq!(read(&games, &game).unwrap(), Some(intent));
            assert!(is_recorded(folder.path(), &game));
            assert_eq!(recorded(&games).unwrap(), std::slice::from_ref(&game));
        }
        clear(&games, &game).unwrap();
        clear(&games, &game).unwrap();
        assert!(!is_recorded(folder.path(), &game));
    }

    /// A full disk: the earlier intent stays as it is, and nothing else is left.
    #[test]
    fn an_intent_that_cannot_be_written_leaves_the_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        let game: GameId = "g".parse().unwrap();
        let earlier = Intent::new(IntentStep::InstallBegin);
        write(&games, &game, &earlier).unwrap();
        let next = earlier.at(IntentStep::InstallPromote);
        let (written, _) = script::failing("sync-file", 1, Errno::NOSPC, || write(&games, &game, &next));
        assert_eq!(written.unwrap_err().code(), "disk-full");
        assert_eq!(read(&games, &game).unwrap(), Some(earlier));
        let left: Vec<_> = std::fs::read_dir(folder.path().join(".lanspread/intents")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_malformed_or_newer_intent_is_reported_and_not_guessed() {
        let intent = Intent::new(IntentStep::UpdateBegin);
        let mut other = intent.clone();
        other.schema = 2;
        let other = serde_json::to_vec(&other).unwrap();
        let valid = serde_json::to_vec(&intent).unwrap();
        let cuts = (0..valid.len()).map(|cut| &valid[..cut]);
        for bytes in cuts.chain([&other[..], b"{}", b"[]", b"\0\0\0"]) {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(parse(&valid).is_ok());
    }
}
