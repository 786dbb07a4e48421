//! The steps that put repaired entries into an installed tree. Each of them may have run before, wholly or in part.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::{LOCAL_DIR, STAGING_DIR};

use crate::install::tree_repair::line;
use crate::state::disk_calls::rename_over;
use crate::state::games_dir::{GamesDir, create_folder, open_root, sync_file_system};
use crate::state::receipt;
use crate::state::receipt::ReceiptDraft;
use crate::state::receipt_reader;
use crate::state::receipt_reader::ReceiptError;
use crate::state::standing::{Standing, standing};

/// Renames every staged file to its place in `local/`, and makes that durable. A file that is there is replaced. What the
/// user has put in the place of a folder, or a folder in the place of a file, stays: the next comparison reports it.
pub(crate) fn place(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let (Some(staging), Some(local)) = (folder(games, game, STAGING_DIR)?, folder(games, game, LOCAL_DIR)?)
    else {
        return Ok(());
    };
    let shown = games.root_path(game).join(LOCAL_DIR);
    let mut waiting = vec![PathBuf::new()];
    while let Some(at) = waiting.pop() {
        let here = if at.as_os_str().is_empty() { Path::new(".") } else { &at };
        let from = staging.open_dir(here).map_err(LocalError::io("open", shown.join(&at)))?;
        let Some(to) = folder_in(&local, here, &shown.join(&at))? else { continue };
        for entry in from.entries().map_err(LocalError::io("read", shown.join(&at)))? {
            let entry = entry.map_err(LocalError::io("read", shown.join(&at)))?;
            let name = entry.file_name();
            let kind = entry.file_type().map_err(LocalError::io("read", shown.join(&at).join(&name)))?;
            if kind.is_dir() {
                waiting.push(at.join(name));
            } else {
                place_file(&from, &to, &name.to_string_lossy(), &shown.join(&at))?;
            }
        }
    }
    let root = open_root(games, game)?;
    sync_file_system(&root, &games.root_path(game))
}

fn place_file(from: &Dir, to: &Dir, name: &str, shown: &Path) -> Result<(), LocalError> {
    let shown = shown.join(name);
    match rename_over((from, name), (to, name), &shown) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            tracing::warn!("{} is a folder, so the file that belongs there is not put back", shown.display());
            Ok(())
        }
        renamed => renamed.map_err(LocalError::io("create", shown)),
    }
}

/// The folder of the tree at this path, which is made if nothing is there. `None` if something else is.
fn folder_in(local: &Dir, path: &Path, shown: &Path) -> Result<Option<Dir>, LocalError> {
    let is_folder = match local.symlink_metadata(path) {
        Ok(found) => found.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_folder(local, path).map_err(LocalError::io("create", shown))?;
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
        Err(error) => return Err(LocalError::io("read", shown)(error)),
    };
    if !is_folder {
        tracing::warn!("{} is not a folder, so what belongs in it is not put back", shown.display());
        return Ok(None);
    }
    local.open_dir(path).map(Some).map_err(LocalError::io("open", shown))
}

fn folder(games: &GamesDir, game: &GameId, name: &str) -> Result<Option<Dir>, LocalError> {
    if standing(games, game, name)? != Standing::Folder {
        return Ok(None);
    }
    let shown = games.root_path(game).join(name);
    open_root(games, game)?.open_dir(name).map(Some).map_err(LocalError::io("open", shown))
}

/// Removes the files of the old receipt that the new one does not have. Only files: nothing else was installed.
pub(crate) fn remove_unlisted(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(local) = folder(games, game, LOCAL_DIR)? else { return Ok(()) };
    let mut listed = std::collections::BTreeSet::new();
    let read = receipt_reader::read_each_of_draft(games, game, |_, file| {
        listed.insert(file.path.to_owned());
        Ok(())
    });
    if read.map_err(local_error)?.is_none() {
        return Ok(());
    }
    let mut unlisted = Vec::new();
    receipt_reader::read_each(games, game, |_, file| {
        if !listed.contains(file.path) {
            unlisted.push(file.path.to_owned());
        }
        Ok(())
    })
    .map_err(local_error)?;
    for path in unlisted {
        if local.symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
            let shown = games.root_path(game).join(LOCAL_DIR).join(&path);
            local.remove_file(&path).map_err(LocalError::io("remove", shown))?;
        }
    }
    Ok(())
}

/// Gives the files of the draft that were renamed the stamps that they have since.
pub(crate) fn stamp(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(local) = folder(games, game, LOCAL_DIR)? else { return Ok(()) };
    let mut stamped: Option<Result<ReceiptDraft, LocalError>> = None;
    let read = receipt_reader::read_each_of_draft(games, game, |head, file| {
        let draft = stamped.get_or_insert_with(|| ReceiptDraft::beside(games, head));
        let Ok(writing) = draft else { return Ok(()) };
        let now = local.symlink_metadata(file.path).ok().filter(cap_std::fs::Metadata::is_file);
        let now = now.and_then(|_| local.open(file.path).ok()?.into_std().metadata().ok());
        let stamp = file.stamp.map(|stamp| now.as_ref().map_or(stamp, |now| stamp.renamed(now)));
        if let Err(error) = writing.file(&line(file.path, file.installed, stamp)) {
            *draft = Err(error);
        }
        Ok(())
    });
    let (Some((_, totals)), Some(stamped)) = (read.map_err(local_error)?, stamped) else { return Ok(()) };
    let mut stamped = stamped?;
    stamped.complete(totals)?;
    stamped.sync()?;
    receipt::replace_draft(games, game)
}

fn local_error(error: ReceiptError) -> LocalError {
    match error {
        ReceiptError::Local(error) => error,
        ReceiptError::Malformed { path, line, problem } => {
            lanspread_types::fault::ForeignState { path, what: format!("line {line}: {problem}") }.into()
        }
    }
}
