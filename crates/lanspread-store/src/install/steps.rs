//! Every change that an operation makes to a game, as one function each.
//!
//! An operation runs its list of steps in order, and recovery runs the rest of the same list; a step that may already
//! have run can run again without harm. A kill between any two steps therefore leaves a state that the table of
//! [`crate::install::recovery`] knows. All steps work below directory handles. A link or file in the place of a folder
//! of ours is never followed.

use std::io;
use std::path::Path;

use cap_std::fs::Dir;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::{
    BACKUP_DIR, DOWNLOADING_DIR, LOCAL_DIR, SENTINEL_FILE, STAGING_DIR, is_archive_name,
};

use crate::install::mend;
use crate::state::disk_calls::rename_new;
use crate::state::games_dir::{GamesDir, open_root, sync_folder};
use crate::state::record::RecordKind;
use crate::state::standing::{Standing, standing};
use crate::state::{intent, packing_lists, receipt, record};

/// One change to a locked game.
pub(crate) type DiskStep = fn(&GamesDir, &GameId) -> Result<(), LocalError>;

/// Runs steps in order, up to the first one that fails.
pub(crate) fn run(steps: &[DiskStep], games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    steps.iter().try_for_each(|step| step(games, game))
}

/// From a durable staging folder to an installed tree.
pub(crate) const INSTALL: &[DiskStep] = &[promote, sync_root, receipt::publish, intent::clear];
/// How many of the first steps of [`INSTALL`] are renames. If one fails, everything is undone; after them the install
/// has succeeded.
pub(crate) const INSTALL_RENAMES: usize = 1;
/// The same in place of an old tree, which is kept until the new one is durable.
pub(crate) const UPDATE: &[DiskStep] =
    &[set_aside, promote, sync_root, receipt::publish, remove_backup, intent::clear];
/// As [`INSTALL_RENAMES`].
pub(crate) const UPDATE_RENAMES: usize = 2;
/// From an installed tree to none. After the first step, the rename, there is no way back.
pub const UNINSTALL: &[DiskStep] =
    &[set_aside, sync_root, receipt::remove, remove_backup, remove_empty_root, intent::clear];
/// What is left of an update whose old tree cannot be renamed, once the intent says so.
pub(crate) const UPDATE_IN_PLACE: &[DiskStep] =
    &[remove_local, promote, sync_root, receipt::publish, intent::clear];
/// What is left of an uninstall whose tree cannot be renamed, once the intent says so.
pub(crate) const UNINSTALL_IN_PLACE: &[DiskStep] =
    &[remove_local, sync_root, receipt::remove, remove_empty_root, intent::clear];
/// From downloaded files to none. After the first step there is no way back.
pub const REMOVE: &[DiskStep] = &[
    remove_sentinel,
    sync_root,
    remove_archives,
    remove_partials,
    sync_root,
    forget_download,
    remove_empty_root,
    intent::clear,
];
/// From durable staged entries to a repaired tree. Until the receipt is the new one, what was put in its place may stay
/// there: it is what the old one says too.
pub(crate) const REPAIR: &[DiskStep] = &[
    mend::place,
    mend::remove_unlisted,
    mend::stamp,
    receipt::publish,
    remove_staging,
    sync_root,
    intent::clear,
];
/// How many of the first steps of [`REPAIR`] can fail without a consequence.
pub(crate) const REPAIR_RENAMES: usize = 1;
/// Removes everything that an install created.
pub(crate) const ROLL_BACK: &[DiskStep] = &[remove_staging, receipt::discard, intent::clear];
/// The same for an install that also created the game root.
pub(crate) const ROLL_BACK_WITH_ROOT: &[DiskStep] =
    &[remove_staging, receipt::discard, remove_empty_root, intent::clear];
/// Ends an install that found something in the place of staging, which is not ours.
pub(crate) const ABANDON_INSTALL: &[DiskStep] = &[receipt::discard, intent::clear];
/// The same for an install that also created the game root.
pub(crate) const ABANDON_INSTALL_WITH_ROOT: &[DiskStep] =
    &[receipt::discard, remove_empty_root, intent::clear];
/// Ends an operation that changed nothing.
pub(crate) const ABANDON: &[DiskStep] = &[intent::clear];

/// Opens a game root if it exists.
fn existing_root(games: &GamesDir, game: &GameId) -> Result<Option<Dir>, LocalError> {
    match games.dir().open_dir(game.as_str()) {
        Ok(root) => Ok(Some(root)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LocalError::io("open", games.root_path(game))(error)),
    }
}

/// Makes the names in the game root, and its own name, durable. The game root may already be gone.
pub(crate) fn sync_root(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(root) = existing_root(games, game)? else { return Ok(()) };
    sync_folder(&root, &games.root_path(game))?;
    sync_folder(games.dir(), games.path())
}

/// Renames staging to `local/`.
pub(crate) fn promote(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    rename_folder(games, game, STAGING_DIR, LOCAL_DIR)
}

/// Renames `local/` to the backup, unless the user has removed it meanwhile.
///
/// A file system may be unable to rename it: overlayfs does not rename a folder that comes from a lower layer, such as a
/// game that a container image brings. Nothing can take its place in one step there, so the intent first records, in
/// one rename, that the tree is being removed where it is. From then on it does not count as installed, and recovery
/// completes the operation.
pub(crate) fn set_aside(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    if standing(games, game, LOCAL_DIR)? == Standing::Nothing {
        return Ok(());
    }
    match rename_folder(games, game, LOCAL_DIR, BACKUP_DIR) {
        Err(error) if crosses_devices(&error) => {
            // If the intent cannot be read, or is of another operation, the error of the rename is reported.
            let intent = intent::read(games, game).ok().flatten();
            let Some(in_place) = intent.and_then(|intent| intent.in_place()) else { return Err(error) };
            intent::write(games, game, &in_place)?;
            remove_local(games, game)
        }
        renamed => renamed,
    }
}

fn crosses_devices(error: &LocalError) -> bool {
    matches!(error, LocalError::Io { source, .. } if source.kind() == io::ErrorKind::CrossesDevices)
}

/// Removes `local/` where it is, if it is still a folder.
pub(crate) fn remove_local(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    match standing(games, game, LOCAL_DIR)? {
        Standing::Folder => remove_folder(games, game, LOCAL_DIR),
        Standing::Nothing | Standing::Other => Ok(()),
    }
}

/// Renames the backup back to `local/`.
pub(crate) fn put_back(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    rename_folder(games, game, BACKUP_DIR, LOCAL_DIR)
}

/// Renames a folder in the game root, never replacing anything.
fn rename_folder(games: &GamesDir, game: &GameId, from: &str, to: &str) -> Result<(), LocalError> {
    let root = open_root(games, game)?;
    let target = games.root_path(game).join(to);
    if standing(games, game, from)? == Standing::Other {
        return Err(LocalError::io("rename", games.root_path(game).join(from))(
            io::ErrorKind::NotADirectory.into(),
        ));
    }
    rename_new(&root, from, to, &target).map_err(LocalError::io("create", target))
}

/// Removes staging, if it exists.
pub(crate) fn remove_staging(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    remove_folder(games, game, STAGING_DIR)
}

/// Removes the backup, if it exists.
pub(crate) fn remove_backup(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    remove_folder(games, game, BACKUP_DIR)
}

fn remove_folder(games: &GamesDir, game: &GameId, name: &str) -> Result<(), LocalError> {
    let path = Path::new(game.as_str()).join(name);
    let shown = games.path().join(&path);
    absent_is_fine(games.dir().remove_dir_all(&path)).map_err(LocalError::io("remove", shown))
}

/// Removes the game root if it is empty.
pub(crate) fn remove_empty_root(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    match games.dir().remove_dir(game.as_str()) {
        // Something else is in it, or it is a link: the user keeps the game elsewhere.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory) =>
        {
            Ok(())
        }
        other => absent_is_fine(other).map_err(LocalError::io("remove", games.root_path(game))),
    }
}

/// Removes the sentinel: from then on the game does not count as downloaded.
pub(crate) fn remove_sentinel(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(root) = existing_root(games, game)? else { return Ok(()) };
    let shown = games.root_path(game).join(SENTINEL_FILE);
    absent_is_fine(root.remove_file(SENTINEL_FILE)).map_err(LocalError::io("remove", shown))
}

/// Removes every root archive. If it is a link, the link is removed and not its target.
pub(crate) fn remove_archives(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(root) = existing_root(games, game)? else { return Ok(()) };
    for (name, _) in archives(&root, &games.root_path(game))? {
        absent_is_fine(root.remove_file(&name))
            .map_err(LocalError::io("remove", games.root_path(game).join(&name)))?;
    }
    Ok(())
}

/// Removes what an unfinished download has left, if it is a folder.
pub(crate) fn remove_partials(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    match standing(games, game, DOWNLOADING_DIR)? {
        Standing::Folder => remove_folder(games, game, DOWNLOADING_DIR),
        Standing::Nothing | Standing::Other => Ok(()),
    }
}

/// Removes the records of a download whose files are gone.
pub(crate) fn forget_download(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    record::remove(games, game, RecordKind::Journal)?;
    record::remove(games, game, RecordKind::Receipt)?;
    packing_lists::forget(games, game);
    Ok(())
}

/// The archives of a game root, with the bytes that each one takes there: 0 for a link.
pub fn archives(root: &Dir, shown: &Path) -> Result<Vec<(String, u64)>, LocalError> {
    let mut found = Vec::new();
    for entry in root.entries().map_err(LocalError::io("read", shown))? {
        let entry = entry.map_err(LocalError::io("read", shown))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !is_archive_name(&name) {
            continue;
        }
        let metadata = entry.metadata().map_err(LocalError::io("read", shown.join(&name)))?;
        if metadata.is_dir() {
            continue;
        }
        found.push((name, if metadata.is_file() { metadata.len() } else { 0 }));
    }
    Ok(found)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
