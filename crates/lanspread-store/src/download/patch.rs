//! Puts the parts of files that a repair has fetched into the files of the game root.
//!
//! Invariants: a part is written to a file only after all parts of the repair are here, compared and durable, and until it
//! is durable in the file it stays where it was. So a kill at any point is repaired by putting all of them in again. A file
//! that is a link, or has another name too, is never written to: it is fetched whole and replaced.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use cap_std::fs::Dir;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::SENTINEL_FILE;
use lanspread_types::limits;
use lanspread_types::regular_file::{open_ours, open_ours_to_write};

use crate::download::partials::checksum_of;
use crate::error::StoreError;
use crate::state::chunks::Chunk;
use crate::state::disk_calls::{rename_over, sync_file};
use crate::state::games_dir::{GamesDir, sync_folder};
use crate::state::record;
use crate::state::record::{Journal, Record, RecordKind, Recorded};

/// Whether every file of which only parts were fetched is still there.
pub(super) fn can_be_put(downloading: Option<&Dir>, root: &Dir, record: &Record) -> bool {
    let Some(downloading) = downloading else { return true };
    record.head.files.iter().enumerate().all(|(number, file)| {
        let is_in = |folder: &Dir| folder.symlink_metadata(&file.name).is_ok_and(|found| found.is_file());
        !is_in(downloading) || is_whole(record, number) || is_in(root)
    })
}

fn is_whole(record: &Record, file: usize) -> bool {
    record.chunks.of_file(file).iter().all(|chunk| record.here[chunk.id].is_some())
}

/// Puts all parts into their files, the sentinel last.
pub(super) fn put(downloading: &Dir, root: &Dir, shown: &Path, record: &Record) -> Result<(), LocalError> {
    let files = record.head.files.iter().enumerate();
    let (sentinels, others): (Vec<_>, Vec<_>) = files.partition(|(_, file)| file.name == SENTINEL_FILE);
    for part in [others, sentinels] {
        for (number, file) in part {
            if !downloading.symlink_metadata(&file.name).is_ok_and(|found| found.is_file()) {
                continue;
            }
            let shown = shown.join(&file.name);
            if is_whole(record, number) {
                let renamed = rename_over((downloading, &file.name), (root, &file.name), &shown);
                renamed.map_err(LocalError::io("create", &shown))?;
            } else {
                put_parts(downloading, root, &shown, record, number)?;
            }
        }
        sync_folder(root, shown)?;
    }
    Ok(())
}

fn put_parts(
    downloading: &Dir,
    root: &Dir,
    shown: &Path,
    record: &Record,
    number: usize,
) -> Result<(), LocalError> {
    let file = &record.head.files[number];
    let from = open_ours(downloading, &file.name).map_err(|error| error.of_ours("open", shown))?;
    let to = open_ours_to_write(root, &file.name).map_err(|error| error.of_ours("open", shown))?;
    let length = to.metadata().map_err(LocalError::io("read", shown))?.len();
    if length != file.size {
        to.set_len(file.size).map_err(LocalError::io("write", shown))?;
    }
    for chunk in record.chunks.of_file(number).iter().filter(|chunk| record.here[chunk.id].is_some()) {
        copy(&from, &to, chunk).map_err(LocalError::io("write", shown))?;
    }
    sync_file(&to, shown).map_err(LocalError::io("sync", shown))?;
    downloading.remove_file(&file.name).map_err(LocalError::io("remove", shown))
}

fn copy(from: &File, to: &File, chunk: &Chunk) -> io::Result<()> {
    let mut buffer = vec![0; limits::DATA_CHUNK_BYTES];
    let (mut at, end) = (chunk.offset, chunk.offset + chunk.length);
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        match from.read_at(&mut buffer[..wanted], at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                to.write_all_at(&buffer[..count], at)?;
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Records in the receipt, if there is one of these files, which parts are new and from whom, and removes the record of
/// the repair.
pub(super) fn record(games: &GamesDir, game: &GameId, repair: &Record) -> Result<(), LocalError> {
    let receipt = Record::read(games, game, RecordKind::Receipt).map_err(local_error)?;
    let is_of = |receipt: &Record| {
        (&receipt.head.version, &receipt.head.files) == (&repair.head.version, &repair.head.files)
    };
    if let Some(receipt) = receipt.filter(is_of) {
        let mut receipt = Journal::append_to(games, game, RecordKind::Receipt, receipt)?;
        for number in 0..repair.head.files.len() {
            record_file(games, game, repair, &mut receipt, number)?;
        }
        if repair.manifest.is_some() {
            receipt.listed_in(repair.manifest)?;
        }
        receipt.sync()?;
    }
    record::remove(games, game, RecordKind::Journal)
}

/// A chunk of the receipt has the checksum that it has now, if a part of it is new.
fn record_file(
    games: &GamesDir,
    game: &GameId,
    repair: &Record,
    receipt: &mut Journal,
    number: usize,
) -> Result<(), LocalError> {
    let mut opened = None;
    for chunk in receipt.record.chunks.of_file(number).to_vec() {
        let is_inside =
            |new: &&Chunk| new.offset < chunk.offset + chunk.length && chunk.offset < new.offset + new.length;
        let mut parts = repair.chunks.of_file(number).iter().filter(is_inside);
        let Some(new) = parts.find_map(|part| repair.here[part.id].as_ref()) else { continue };
        let shown = games.root_path(game).join(&repair.head.files[number].name);
        let file = match &mut opened {
            Some(file) => file,
            empty => empty.insert(File::open(&shown).map_err(LocalError::io("open", &shown))?),
        };
        let read = checksum_of(file, chunk.offset, chunk.length).map_err(LocalError::io("read", &shown))?;
        let Some(checksum) = read else { continue };
        receipt.chunk(chunk.id, Recorded { checksum, ..new.clone() })?;
    }
    Ok(())
}

fn local_error(error: StoreError) -> LocalError {
    match error {
        StoreError::Foreign(error) => error.into(),
        StoreError::Local(error) => error,
        // Reading a record fails in no other way.
        error => LocalError::io("read", "the receipt")(io::Error::other(error.to_string())),
    }
}
