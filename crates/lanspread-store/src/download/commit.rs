//! From complete files in `.downloading/` to a downloaded game.
//!
//! Invariant: if the process is killed between any two steps, the game is unchanged, or `recover` makes it the new
//! version. A sentinel is never beside archives that do not belong to it. The order of the steps ensures this:
//!
//! 1. everything synced, then *promote* in the record, durable. A promoted record means complete and durable files.
//! 2. the old sentinel removed, durable. From then on the game is not offered.
//! 3. archives that are not in the new list removed
//! 4. every file except the sentinel renamed into the game root, durable
//! 5. the sentinel renamed, durable. From then on the game is downloaded.
//! 6. `.downloading/` removed, the record completed.
//!
//! After step 1 there is no way back: what fails is reported as [`LocalError::Unfinished`] and left to recovery.
//!
//! The table of recovery, from (record, state on disk) to an action:
//!
//! | record    | .downloading | files          | cause                                          | action   |
//! |-----------|--------------|----------------|------------------------------------------------|----------|
//! | none      | none         |                | nothing happened                               | nothing  |
//! | none      | exists       |                | not ours: it never exists without a record     | report   |
//! | fetching  | any          |                | crash or failure while fetching; can resume    | keep     |
//! | promoting | any          | all exist      | crash in steps 1 to 6                          | promote  |
//! | promoting | any          | some are gone  | crash, then the user removed some              | discard  |
//! | complete  | any          |                | crash in step 6                                | finish   |
//! | any       | no folder    |                | not ours                                       | report   |
//!
//! A repair of downloaded files has the same record and the same rows, with two differences: what is in `.downloading/`
//! are parts of files, and step 4 puts them into the files that are there (`patch.rs`); and step 3 is left out.

use std::io;

use cap_std::fs::Dir;
use lanspread_types::content::InstallTrust;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::GameId;
use lanspread_types::layout::{DOWNLOADING_DIR, SENTINEL_FILE, is_archive_name};

use crate::download::{partials, patch};
use crate::error::StoreError;
use crate::state::disk_calls::rename_over;
use crate::state::game_state::GameState;
use crate::state::games_dir::{GamesDir, sync_file_system, sync_folder};
use crate::state::listed_chunks::ListedChunks;
use crate::state::record::{Journal, Record, RecordKind, RecordProgress};
use crate::state::standing::{Standing, standing};

/// What recovery does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CommitAction {
    Nothing,
    /// Put the files in their places.
    Promote,
    /// Remove the folder, complete the record.
    Finish,
    /// Remove the folder and the record.
    Discard,
    Report(&'static str),
}

/// The table.
fn decide(record: Option<RecordProgress>, downloading: Standing, all_are_here: bool) -> CommitAction {
    match (record, downloading) {
        (_, Standing::Other) => CommitAction::Report("is not a folder made by lanspread"),
        (None, Standing::Folder) => CommitAction::Report("exists, but no download was recorded"),
        (None, Standing::Nothing) | (Some(RecordProgress::Fetching), _) => CommitAction::Nothing,
        (Some(RecordProgress::Promoting), _) if all_are_here => CommitAction::Promote,
        (Some(RecordProgress::Promoting), _) => CommitAction::Discard,
        (Some(RecordProgress::Complete), _) => CommitAction::Finish,
    }
}

/// Recovers a locked game from a crash during a promotion. The files of an unfinished download are left as they are.
/// Returns the code of what was done, if anything.
pub(crate) fn recover(games: &GamesDir, game: &GameId) -> Result<Option<&'static str>, StoreError> {
    let record = Record::read(games, game, RecordKind::Journal)?;
    let downloading = standing(games, game, DOWNLOADING_DIR)?;
    let progress = record.as_ref().map(|record| record.progress);
    let all_are_here = match &record {
        Some(record) if progress == Some(RecordProgress::Promoting) => all_are_here(games, game, record)?,
        _ => false,
    };
    match (decide(progress, downloading, all_are_here), record) {
        (CommitAction::Report(what), _) => {
            Err(ForeignState { path: games.root_path(game).join(DOWNLOADING_DIR), what: what.to_owned() }
                .into())
        }
        (CommitAction::Nothing, _) | (_, None) => Ok(None),
        (CommitAction::Promote, Some(record)) => {
            remove_old_sentinel(games, game)?;
            promote(games, game, &record)?;
            finish(games, game, &mut Journal::resume(games, game, record)?)?;
            Ok(Some("download-promoted"))
        }
        (CommitAction::Finish, Some(record)) => {
            finish(games, game, &mut Journal::resume(games, game, record)?)?;
            Ok(Some("download-finished"))
        }
        (CommitAction::Discard, Some(_)) => {
            partials::discard(games, game)?;
            Ok(Some("download-discarded"))
        }
    }
}

/// Whether every file of a promotion is in one of its two places.
fn all_are_here(games: &GamesDir, game: &GameId, record: &Record) -> Result<bool, LocalError> {
    let Some(root) = open_root(games, game)? else { return Ok(false) };
    let downloading = open_downloading(games, game, &root)?;
    if record.head.repair.is_some() {
        return Ok(patch::can_be_put(downloading.as_ref(), &root, record));
    }
    Ok(record.head.files.iter().all(|file| {
        let is_in = |folder: &Dir| {
            folder.symlink_metadata(&file.name).is_ok_and(|found| found.is_file() && found.len() == file.size)
        };
        downloading.as_ref().is_some_and(is_in) || is_in(&root)
    }))
}

/// Whether a download may replace what is downloaded: files that no manifest will verify never replace verified ones,
/// unless the user accepts that.
///
/// # Errors
/// [`StoreError::VerifiedHere`] if not.
pub fn permit(
    games: &GamesDir,
    game: &GameId,
    listed: Option<&ListedChunks>,
    accept_unverified: bool,
) -> Result<(), StoreError> {
    if listed.is_some_and(ListedChunks::is_trusted) || accept_unverified {
        return Ok(());
    }
    let here = GameState::read(games.path(), game)?.and_then(|state| state.downloaded_trust);
    if here == Some(InstallTrust::Verified) {
        return Err(StoreError::VerifiedHere { game: game.clone(), path: games.root_path(game) });
    }
    Ok(())
}

/// Steps 1 and 2: after them only the new version can result, and the old one is no longer offered.
///
/// # Errors
/// If step 1 failed: nothing has changed. [`LocalError::Unfinished`] if step 2 did.
pub fn begin(games: &GamesDir, game: &GameId, journal: &mut Journal) -> Result<(), LocalError> {
    // One syncfs replaces an fsync of every file, of the folder and of the record.
    sync_file_system(games.dir(), games.path())?;
    journal.promote()?;
    remove_old_sentinel(games, game).map_err(unfinished(games, game))
}

/// Says that everything has arrived and is durable, and that recovery completes the rest.
fn unfinished(games: &GamesDir, game: &GameId) -> impl FnOnce(LocalError) -> LocalError {
    let root = games.root_path(game);
    move |error| error.after(root, "downloaded")
}

/// Removes the sentinel in the game root, as long as the new one is still in `.downloading/`.
fn remove_old_sentinel(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(root) = open_root(games, game)? else { return Ok(()) };
    let shown = games.root_path(game);
    let is_new_to_come =
        open_downloading(games, game, &root)?.is_some_and(|downloading| downloading.exists(SENTINEL_FILE));
    if is_new_to_come && root.symlink_metadata(SENTINEL_FILE).is_ok() {
        root.remove_file(SENTINEL_FILE).map_err(LocalError::io("remove", shown.join(SENTINEL_FILE)))?;
        sync_folder(&root, &shown)?;
    }
    Ok(())
}

/// Steps 3 to 5. Files that are already in their places stay there.
///
/// # Errors
/// [`LocalError::Unfinished`].
pub fn promote(games: &GamesDir, game: &GameId, record: &Record) -> Result<(), LocalError> {
    place_files(games, game, record).map_err(unfinished(games, game))
}

fn place_files(games: &GamesDir, game: &GameId, record: &Record) -> Result<(), LocalError> {
    let shown = games.root_path(game);
    let vanished = || LocalError::io("open", &shown)(io::ErrorKind::NotFound.into());
    let root = open_root(games, game)?.ok_or_else(vanished)?;
    if record.head.repair.is_some() {
        if let Some(downloading) = open_downloading(games, game, &root)? {
            patch::put(&downloading, &root, &shown, record)?;
        }
        return Ok(());
    }
    remove_other_archives(&root, games, game, record)?;
    if let Some(downloading) = open_downloading(games, game, &root)? {
        let place = |name: &str| match rename_over((&downloading, name), (&root, name), &shown.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(LocalError::io("create", shown.join(name))(error))
            }
            _ => Ok(()),
        };
        for file in record.head.files.iter().filter(|file| file.name != SENTINEL_FILE) {
            place(&file.name)?;
        }
        sync_folder(&root, &shown)?;
        place(SENTINEL_FILE)?;
    }
    sync_folder(&root, &shown)?;
    sync_folder(games.dir(), games.path())
}

fn remove_other_archives(
    root: &Dir,
    games: &GamesDir,
    game: &GameId,
    record: &Record,
) -> Result<(), LocalError> {
    let shown = games.root_path(game);
    for entry in root.entries().map_err(LocalError::io("read", &shown))? {
        let entry = entry.map_err(LocalError::io("read", &shown))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_folder = entry.file_type().map_err(LocalError::io("read", shown.join(&name)))?.is_dir();
        if !is_folder && is_archive_name(&name) && !record.head.files.iter().any(|file| file.name == name) {
            root.remove_file(&name).map_err(LocalError::io("remove", shown.join(&name)))?;
        }
    }
    Ok(())
}

/// Step 6.
///
/// # Errors
/// [`LocalError::Unfinished`].
pub fn finish(games: &GamesDir, game: &GameId, journal: &mut Journal) -> Result<(), LocalError> {
    let finished = remove_downloading(games, game).and_then(|()| {
        if journal.record.head.repair.is_some() {
            patch::record(games, game, &journal.record)
        } else {
            journal.complete()
        }
    });
    finished.map_err(unfinished(games, game))
}

fn remove_downloading(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    if let Some(root) = open_root(games, game)? {
        match root.remove_dir_all(DOWNLOADING_DIR) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(LocalError::io("remove", games.root_path(game).join(DOWNLOADING_DIR))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn open_root(games: &GamesDir, game: &GameId) -> Result<Option<Dir>, LocalError> {
    open_if_there(games.dir(), game.as_str()).map_err(LocalError::io("open", games.root_path(game)))
}

fn open_downloading(games: &GamesDir, game: &GameId, root: &Dir) -> Result<Option<Dir>, LocalError> {
    open_if_there(root, DOWNLOADING_DIR)
        .map_err(LocalError::io("open", games.root_path(game).join(DOWNLOADING_DIR)))
}

fn open_if_there(dir: &Dir, name: &str) -> io::Result<Option<Dir>> {
    match dir.open_dir(name) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
