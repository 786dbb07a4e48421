//! The packing lists of the games that a peer serves, so that each is made once: `<game>.lsm` below `.lanspread/packing/`,
//! and beside it `<game>.json`, which says of which files it was made.
//!
//! Both are a cache, and nothing in it is believed: a list counts if its bytes have the digest that the record names, and
//! the record counts if the stamps of the files are still the same. Each appears by a rename, the record last. Nothing is
//! synced: what a power failure leaves has another digest, or is no record.

use std::fs::File;
use std::io::{self, Write};

use cap_std::fs::Dir;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::PACKING_DIR;
use lanspread_types::limits;
use lanspread_types::regular_file::{create_ours, if_present, open_ours, read_whole};
use serde::{Deserialize, Serialize};

use crate::state::file_stamps::FileStamps;
use crate::state::games_dir::{FILE_PERMISSIONS, GamesDir};

/// Changes with what the record means, or with what a list would hold of the same files.
const SCHEMA: u32 = 1;
/// Endings of the names of a record, of a list, and of those that a killed process did not finish.
const RECORD: &str = ".json";
const RECORD_BEGUN: &str = ".json.new";
const LIST: &str = ".lsm";
const LIST_BEGUN: &str = ".lsm.new";

/// What a list was made of. If this is the same, so is the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeOf {
    /// The root files.
    pub files: FileStamps,
    /// The manifest that it was derived from; `None` if the files were read.
    pub manifest: Option<ContentDigest>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRecord {
    schema: u32,
    made_of: MadeOf,
    list: ContentDigest,
    bytes: u64,
}

/// The list that was made of exactly this, if it is here and whole.
///
/// # Errors
/// [`LocalError`], also if something is there that is not ours.
pub fn find(games: &GamesDir, game: &GameId, made_of: &MadeOf) -> Result<Option<ManifestFile>, LocalError> {
    let Some(folder) = games.existing_state_folder(PACKING_DIR)? else { return Ok(None) };
    let name = format!("{game}{RECORD}");
    let shown = games.state_path(PACKING_DIR, &name);
    let read = if_present(open_ours(&folder, &name))
        .and_then(|file| file.map(|file| read_whole(&file, limits::PACKING_RECORD_BYTES_MAX)).transpose());
    let Some(bytes) = read.map_err(|error| error.of_ours("read", &shown))? else { return Ok(None) };
    let record = serde_json::from_slice::<ListRecord>(&bytes).ok();
    let Some(record) = record.filter(|record| record.schema == SCHEMA && record.made_of == *made_of) else {
        return Ok(None);
    };
    let Some(file) = open(games, game)? else { return Ok(None) };
    match ManifestFile::check(file, record.bytes, Some(&record.list)) {
        Ok(list) => Ok(Some(list)),
        Err(problem) => {
            tracing::info!("the packing list of {game} is made again: {problem}");
            Ok(None)
        }
    }
}

/// The file of the list of a game, as it is.
///
/// # Errors
/// [`LocalError`], also if something is there that is not ours.
pub fn open(games: &GamesDir, game: &GameId) -> Result<Option<File>, LocalError> {
    let Some(folder) = games.existing_state_folder(PACKING_DIR)? else { return Ok(None) };
    let name = format!("{game}{LIST}");
    if_present(open_ours(&folder, &name))
        .map_err(|error| error.of_ours("open", games.state_path(PACKING_DIR, &name)))
}

/// Keeps a list, whose digest is `list`.
///
/// # Errors
/// [`LocalError`]; what was kept of the game counts no more then.
pub fn keep(
    games: &GamesDir,
    game: &GameId,
    made_of: &MadeOf,
    list: ContentDigest,
    content: &[u8],
) -> Result<File, LocalError> {
    let kept = put(games, game, LIST, LIST_BEGUN, content).and_then(|file| {
        let record =
            ListRecord { schema: SCHEMA, made_of: made_of.clone(), list, bytes: content.len() as u64 };
        let shown = games.state_path(PACKING_DIR, &format!("{game}{RECORD}"));
        let bytes = serde_json::to_vec(&record);
        let bytes = bytes.map_err(|error| LocalError::io("write", &shown)(error.into()))?;
        put(games, game, RECORD, RECORD_BEGUN, &bytes)?;
        Ok(file)
    });
    if kept.is_err() {
        forget(games, game);
    }
    kept
}

/// Removes what is kept of a game. A cache is no reason to fail: what cannot be removed counts for nothing.
pub fn forget(games: &GamesDir, game: &GameId) {
    let Ok(Some(folder)) = games.existing_state_folder(PACKING_DIR) else { return };
    for ending in [RECORD, RECORD_BEGUN, LIST, LIST_BEGUN] {
        remove(&folder, &format!("{game}{ending}"));
    }
    drop(folder);
    games.remove_empty_state_folders();
}

/// The games of which something is kept.
///
/// # Errors
/// [`LocalError`] if the folder cannot be read.
pub fn kept(games: &GamesDir) -> Result<Vec<GameId>, LocalError> {
    let mut all = Vec::new();
    for ending in [RECORD, RECORD_BEGUN, LIST, LIST_BEGUN] {
        all.append(&mut games.games_with_state(PACKING_DIR, ending)?);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// Writes a file beside its place and renames it.
fn put(
    games: &GamesDir,
    game: &GameId,
    ending: &str,
    begun: &str,
    content: &[u8],
) -> Result<File, LocalError> {
    let (name, beside) = (format!("{game}{ending}"), format!("{game}{begun}"));
    let shown = games.state_path(PACKING_DIR, &name);
    let create = |folder: &Dir, name: &str| create_ours(folder, name, FILE_PERMISSIONS);
    let (folder, mut file) = games.state_file(PACKING_DIR, &beside, create)?;
    let written = games.refuse_if_full().and_then(|()| file.write_all(content));
    let renamed = written.and_then(|()| folder.rename(&beside, &folder, &name));
    renamed.map_err(LocalError::io("write", &shown))?;
    Ok(file)
}

fn remove(folder: &Dir, name: &str) {
    match folder.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::debug!("{name} of a packing list is left: {error}");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
