//! Files that are arriving, in `.downloading/` of the game root, and what an earlier download left there.
//!
//! The record exists, durably, before the folder does. So a folder without a record is not ours, and a record without
//! the folder only means that everything must be fetched.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::Dir;
use lanspread_types::checksum::{Checksum, ChecksumHasher};
use lanspread_types::content::RootFile;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::layout::DOWNLOADING_DIR;
use lanspread_types::regular_file::{create_ours, open_ours_to_write};
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::state::chunks::{Chunk, Chunks};
use crate::state::disk_calls::begin_write_back;
use crate::state::games_dir::{FILE_PERMISSIONS, GamesDir};
use crate::state::listed_chunks::ListedChunks;
use crate::state::record;
use crate::state::record::{Journal, Record, RecordHead, RecordKind};
pub use crate::state::repair_kind::RepairKind;
use crate::state::standing::{Standing, standing};

/// Bytes read at once when chunks are read again.
const READ_BYTES: usize = 256 * 1024;

/// The files that are arriving.
#[derive(Debug)]
pub struct Partials {
    folder: Dir,
    shown: PathBuf,
    files: Vec<RootFile>,
    /// Bytes of which the system was asked to begin the write-back.
    begun_bytes: AtomicU64,
}

impl Partials {
    /// Opens one of the files, by its index, for reading and writing.
    pub fn open(&self, file: usize) -> Result<File, LocalError> {
        let RootFile { name, .. } = &self.files[file];
        open_ours_to_write(&self.folder, name).map_err(|error| error.of_ours("open", self.path(file)))
    }

    /// Begins to write a part of a file to the disk that was written whole, so that the sync before the promotion
    /// finds little left to do. Durability comes from that sync alone: a system that refuses only makes it longer.
    pub fn begin_write_back(&self, file: usize, opened: &File, offset: u64, length: u64) {
        let Some(bytes) = NonZeroU64::new(length) else { return };
        let shown = self.path(file);
        match begin_write_back(opened, offset, bytes, &shown) {
            Ok(()) => {
                self.begun_bytes.fetch_add(length, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::debug!("{}: its write-back does not begin early: {error}", shown.display());
            }
        }
    }

    /// Bytes of which the write-back has begun.
    pub fn begun_bytes(&self) -> u64 {
        self.begun_bytes.load(Ordering::Relaxed)
    }

    /// Path of one of the files, for messages.
    pub fn path(&self, file: usize) -> PathBuf {
        self.shown.join(&self.files[file].name)
    }

    /// Whether a file exists in its full length.
    fn is_there(&self, file: usize) -> bool {
        let RootFile { name, size } = &self.files[file];
        self.folder.symlink_metadata(name).is_ok_and(|found| found.is_file() && found.len() == *size)
    }

    fn has_checksum(
        &self,
        chunk: &Chunk,
        expected: Checksum,
        cancel: &CancellationToken,
    ) -> Result<bool, StoreError> {
        go_on(cancel)?;
        let read = checksum_of(&mut self.open(chunk.file)?, chunk.offset, chunk.length);
        Ok(read.map_err(LocalError::io("read", self.path(chunk.file)))? == Some(expected))
    }

    fn is_as_listed(
        &self,
        listed: &ListedChunks,
        chunk: &Chunk,
        cancel: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let part = chunk.offset..chunk.offset + chunk.length;
        let (mut content, shown) = (self.open(chunk.file)?, self.path(chunk.file));
        listed.are_in(chunk.file, &mut content, &shown, part, |_| go_on(cancel))
    }

    /// Removes a file that a repair does not need any more.
    fn remove(&self, file: usize) -> Result<(), LocalError> {
        match self.folder.remove_file(&self.files[file].name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(LocalError::io("remove", self.path(file))(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes bytes that are known to their place in a file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put(&self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), LocalError> {
        let opened = self.open(file)?;
        let written = std::os::unix::fs::FileExt::write_all_at(&opened, bytes, offset);
        written.map_err(LocalError::io("write", self.path(file)))
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        &self.shown
    }

    /// Creates a file in its full length, without content. An old one is removed.
    fn make(&self, file: usize) -> Result<(), LocalError> {
        let RootFile { name, size } = &self.files[file];
        let shown = self.path(file);
        let made = create_ours(&self.folder, name, FILE_PERMISSIONS);
        let made = made.map_err(|error| error.of_ours("create", &shown))?;
        made.set_len(*size).map_err(LocalError::io("write", &shown))
    }
}

/// Continues an earlier download of the same files, or begins a new one. Recorded chunks are read again after a reboot,
/// and if they were not compared with the manifest that lists these files. What is right is kept, from whatever
/// source it came.
///
/// # Errors
/// [`StoreError::Foreign`] if `.downloading/` is not ours or the record is malformed, [`StoreError::Cancelled`];
/// failures of this machine's disk.
pub fn prepare(
    games: &GamesDir,
    game: &GameId,
    version: &GameVersion,
    files: &[RootFile],
    listed: Option<&ListedChunks>,
    cancel: &CancellationToken,
) -> Result<(Partials, Journal), StoreError> {
    let head = |games: &GamesDir| RecordHead::new(game, version, files, !games.dir().exists(game.as_str()));
    prepare_as(games, game, head, listed, None, cancel)
}

/// How many bytes of an unfinished download of these files are here, by its record: nothing is read, made or removed.
///
/// # Errors
/// [`StoreError::Foreign`] if the record is malformed; failures of this machine's disk.
pub fn kept_bytes(
    games: &GamesDir,
    game: &GameId,
    version: &GameVersion,
    files: &[RootFile],
) -> Result<u64, StoreError> {
    let wanted = RecordHead::new(game, version, files, !games.dir().exists(game.as_str()));
    let record = Record::read(games, game, RecordKind::Journal)?;
    let record = record.filter(|record| record.head.is_same_download(&wanted));
    Ok(record.map_or(0, |record| record.here_bytes()))
}

/// What a repair fetches of the files of a game root.
#[derive(Debug)]
pub struct RepairParts {
    /// The version of the files.
    pub version: GameVersion,
    /// All files, sorted by name.
    pub files: Vec<RootFile>,
    /// Bytes of a chunk.
    pub chunk_bytes: u64,
    /// Which chunks are fetched, by their ids.
    pub is_needed: Vec<bool>,
    /// Which files are made, by their numbers: those with such chunks, and empty ones that are missing.
    pub is_made: Vec<bool>,
    /// What becomes of them.
    pub kind: RepairKind,
}

impl RepairParts {
    /// Bytes that are fetched.
    pub fn bytes(&self) -> u64 {
        let chunks = Chunks::of(&self.files, self.chunk_bytes);
        let needed = chunks.all().iter().filter(|chunk| self.is_needed[chunk.id]);
        needed.map(|chunk| chunk.length).sum()
    }
}

/// Continues an earlier repair of the same parts, or begins a new one, as [`prepare`] does for a download. What an
/// unfinished download of something else has left is removed.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_repair(
    games: &GamesDir,
    game: &GameId,
    parts: &RepairParts,
    listed: Option<&ListedChunks>,
    cancel: &CancellationToken,
) -> Result<(Partials, Journal), StoreError> {
    let RepairParts { version, files, chunk_bytes, kind, .. } = parts;
    let head = |_: &GamesDir| RecordHead::of_repair(game, version, files, *chunk_bytes, *kind);
    prepare_as(games, game, head, listed, Some(parts), cancel)
}

fn prepare_as(
    games: &GamesDir,
    game: &GameId,
    head: impl Fn(&GamesDir) -> RecordHead,
    listed: Option<&ListedChunks>,
    parts: Option<&RepairParts>,
    cancel: &CancellationToken,
) -> Result<(Partials, Journal), StoreError> {
    let files = &head(games).files;
    let earlier =
        match (Record::read(games, game, RecordKind::Journal)?, standing(games, game, DOWNLOADING_DIR)?) {
            (_, Standing::Other) => return Err(foreign(games, game, "is not a folder made by lanspread")),
            (None, Standing::Folder) => {
                return Err(foreign(games, game, "exists, but no download was recorded"));
            }
            (None, Standing::Nothing) => None,
            (Some(record), _) if record.head.is_same_download(&head(games)) => Some(record),
            (Some(record), _) => {
                tracing::info!(
                    "{game}: the unfinished download of version {} is removed",
                    record.head.version
                );
                discard(games, game)?;
                None
            }
        };
    let is_trusted = earlier.as_ref().is_none_or(Record::is_of_this_boot);
    let mut journal = match earlier {
        Some(record) => Journal::resume(games, game, record)?,
        // Discarding may have removed the game root that the earlier download had created.
        None => Journal::create(games, &head(games))?,
    };
    let partials = open_folder(games, game, files)?;
    if let Some(parts) = parts {
        journal.record.unneeded = parts.is_needed.iter().map(|is_needed| !is_needed).collect();
        drop_unneeded(&mut journal)?;
    }
    let is_made = |file: usize| parts.is_none_or(|parts| parts.is_made[file]);
    check_files(&partials, &mut journal, is_made)?;
    let manifest = listed.filter(|listed| listed.is_trusted()).map(ListedChunks::manifest);
    // What is known to be as one manifest lists it may be otherwise in another one.
    let is_other_manifest = listed.is_some() && (manifest.is_none() || manifest != journal.record.manifest);
    let is_right = |chunk: &Chunk, expected: Checksum| match listed {
        Some(listed) => partials.is_as_listed(listed, chunk, cancel),
        None => partials.has_checksum(chunk, expected, cancel),
    };
    if !is_trusted || is_other_manifest {
        check_content(&partials, &mut journal, is_right)?;
    }
    if !is_trusted {
        journal.checked()?;
    }
    journal.listed_in(manifest)?;
    Ok((partials, journal))
}

fn go_on(cancel: &CancellationToken) -> Result<(), StoreError> {
    if cancel.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) }
}

fn foreign(games: &GamesDir, game: &GameId, what: &str) -> StoreError {
    ForeignState { path: games.root_path(game).join(DOWNLOADING_DIR), what: what.to_owned() }.into()
}

fn open_folder(games: &GamesDir, game: &GameId, files: &[RootFile]) -> Result<Partials, LocalError> {
    let path = Path::new(game.as_str()).join(DOWNLOADING_DIR);
    let shown = games.path().join(&path);
    games.dir().create_dir_all(&path).map_err(LocalError::io("create", &shown))?;
    let folder = games.dir().open_dir(&path).map_err(LocalError::io("open", &shown))?;
    Ok(Partials { folder, shown, files: files.to_vec(), begun_bytes: AtomicU64::new(0) })
}

/// Creates every file that is missing or has another length; its recorded chunks must be fetched again.
fn check_files(
    partials: &Partials,
    journal: &mut Journal,
    is_made: impl Fn(usize) -> bool,
) -> Result<(), LocalError> {
    for file in 0..partials.files.len() {
        if !is_made(file) {
            partials.remove(file)?;
            continue;
        }
        if partials.is_there(file) {
            continue;
        }
        for chunk in journal.record.chunks.of_file(file).to_vec() {
            if journal.record.here[chunk.id].is_some() {
                journal.drop_chunk(chunk.id)?;
            }
        }
        partials.make(file)?;
    }
    Ok(())
}

/// Drops what an earlier run of a repair fetched and this one does not need.
fn drop_unneeded(journal: &mut Journal) -> Result<(), LocalError> {
    for id in 0..journal.record.here.len() {
        if journal.record.unneeded[id] && journal.record.here[id].is_some() {
            journal.drop_chunk(id)?;
        }
    }
    Ok(())
}

/// Reads the chunks that are recorded; those that are not right must be fetched again.
fn check_content(
    partials: &Partials,
    journal: &mut Journal,
    is_right: impl Fn(&Chunk, Checksum) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    for chunk in journal.record.chunks.all().to_vec() {
        let Some(expected) = journal.record.here[chunk.id].as_ref().map(|recorded| recorded.checksum) else {
            continue;
        };
        if !is_right(&chunk, expected)? {
            tracing::info!("{}: the chunk at {} is lost", partials.path(chunk.file).display(), chunk.offset);
            journal.drop_chunk(chunk.id)?;
        }
    }
    Ok(())
}

/// CRC-32 of a part of a file; `None` if the file is too short.
pub(super) fn checksum_of(file: &mut File, offset: u64, length: u64) -> io::Result<Option<Checksum>> {
    let mut hasher = ChecksumHasher::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut left = length;
    file.seek(SeekFrom::Start(offset))?;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BYTES);
        match file.read(&mut buffer[..wanted])? {
            0 => return Ok(None),
            read => {
                hasher.update(&buffer[..read]);
                left -= read as u64;
            }
        }
    }
    Ok(Some(hasher.finish()))
}

/// Removes everything that an unfinished download left: its files, the game root if the download created it and it is
/// empty, and last its record.
///
/// # Errors
/// [`StoreError::Foreign`] if `.downloading/` is not a folder or the record is malformed; failures of this machine's
/// disk.
pub fn discard(games: &GamesDir, game: &GameId) -> Result<(), StoreError> {
    let record = Record::read(games, game, RecordKind::Journal)?;
    let path = Path::new(game.as_str()).join(DOWNLOADING_DIR);
    match standing(games, game, DOWNLOADING_DIR)? {
        Standing::Other => return Err(foreign(games, game, "is not a folder made by lanspread")),
        Standing::Nothing => {}
        Standing::Folder => {
            games.dir().remove_dir_all(&path).map_err(LocalError::io("remove", games.path().join(&path)))?;
        }
    }
    if record.is_some_and(|record| record.head.created_root) {
        match games.dir().remove_dir(game.as_str()) {
            Err(error)
                if !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) =>
            {
                return Err(LocalError::io("remove", games.root_path(game))(error).into());
            }
            _ => {}
        }
    }
    Ok(record::remove(games, game, RecordKind::Journal)?)
}

#[cfg(test)]
mod tests;
