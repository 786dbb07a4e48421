//! The record of a download: what has arrived, from which peer, with which checksums. One JSON object per line.
//!
//! One format has two names below `.lanspread/downloads/`: `<game>.draft` is the journal of an unfinished download, and
//! `<game>.jsonl` the receipt of a downloaded game. So an update keeps the receipt of the old version until it has
//! replaced that version.
//!
//! The first line says what is downloaded and how it is cut into chunks. Each further line says what happened, in
//! order: a chunk is written and its CRC-32 is right; a chunk is no longer valid; after a reboot, everything recorded
//! so far was read again; from here on everything that is recorded is as a manifest lists it, or is not known to be; the
//! files are complete and durable and are being put in their places; everything is in its place.
//!
//! Invariants: a chunk is recorded after its last byte was written, so the record of a killed process is true as long
//! as the machine runs. After a reboot it is only a claim, and is checked. *Promote* is written and synced after all
//! bytes, so it is the intent of the promotion. A manifest is recorded before the first chunk that was compared with it,
//! and after everything that was recorded earlier was compared with it. A torn last line does not count.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use lanspread_types::checksum::{Checksum, ContentDigest};
use lanspread_types::content::RootFile;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use lanspread_types::layout::{DOWNLOADS_DIR, SENTINEL_FILE, STATE_DIR};
use lanspread_types::limits;
use lanspread_types::regular_file::{FileError, create_ours, if_present, open_ours, open_ours_to_write};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::state::chunks::Chunks;
use crate::state::disk_calls::{rename_over, sync_file};
use crate::state::games_dir::{FILE_PERMISSIONS, GamesDir, sync_folder};
use crate::state::repair_kind::RepairKind;

mod repair;
pub(crate) mod trust;

/// The schema that this program writes. Records of schema 1 are read too: they name no manifest.
const SCHEMA: u32 = 2;

/// What is downloaded, and how it is cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordHead {
    schema: u32,
    game: GameId,
    pub(crate) version: GameVersion,
    /// Sorted by name; a file is identified by its index in this list.
    pub(crate) files: Vec<RootFile>,
    chunk_bytes: u64,
    /// Whether the download created the game root.
    pub(crate) created_root: bool,
    /// The boot of this machine in which the download began; `None` if the system does not identify boots.
    boot_id: Option<String>,
    /// Missing in the record of a download. A repair fetches parts of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repair: Option<RepairKind>,
}

/// A chunk that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Checksum of its bytes.
    pub checksum: Checksum,
    /// Name of the peer that sent it; of a chunk that came through a wave, of the source that gave the place.
    pub peer: PeerName,
    /// Identity of that peer.
    pub peer_id: PeerId,
    /// Fingerprint that the source gave for the file.
    pub fingerprint: u64,
}

/// Every line but the first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Chunk(ChunkLine),
    Dropped(Place),
    /// Everything recorded so far was read again in this boot; what was wrong has been dropped.
    Checked {
        boot_id: Option<String>,
    },
    /// From here on, every recorded chunk is as this manifest lists it; without one, that is not known.
    Manifest {
        sha256: Option<ContentDigest>,
    },
    Promote(bool),
    Complete(bool),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChunkLine {
    file: usize,
    chunk: u64,
    crc32: String,
    peer: PeerName,
    peer_id: String,
    fingerprint: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    file: usize,
    chunk: u64,
}

/// The recorded progress of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RecordProgress {
    /// Chunks are arriving.
    Fetching,
    /// Everything has arrived and is durable, and is being put in its place.
    Promoting,
    /// Everything is in its place.
    Complete,
}

/// The two names of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Journal,
    Receipt,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub(crate) head: RecordHead,
    /// The chunks of the files.
    pub chunks: Chunks,
    /// What has arrived, by the id of its chunk.
    pub here: Vec<Option<Recorded>>,
    /// The manifest that lists every chunk that is here as it is.
    pub(crate) manifest: Option<ContentDigest>,
    pub(crate) progress: RecordProgress,
    /// Of a running repair: the chunks that it does not fetch.
    pub(crate) unneeded: Vec<bool>,
    boot_id: Option<String>,
    /// Bytes of its complete lines.
    whole_bytes: u64,
}

impl RecordHead {
    pub(crate) fn new(game: &GameId, version: &GameVersion, files: &[RootFile], created_root: bool) -> Self {
        Self {
            schema: SCHEMA,
            game: game.clone(),
            version: version.clone(),
            files: files.to_vec(),
            chunk_bytes: limits::CHUNK_BYTES,
            created_root,
            boot_id: boot_id(),
            repair: None,
        }
    }

    /// Whether it is about the same files, cut in the same way.
    pub(crate) fn is_same_download(&self, other: &Self) -> bool {
        (&self.version, &self.files, self.chunk_bytes, self.repair)
            == (&other.version, &other.files, other.chunk_bytes, other.repair)
    }

    fn check(self, game: &GameId) -> Result<Self, String> {
        if !(1..=SCHEMA).contains(&self.schema) {
            return Err(format!("has schema {}, this program knows 1 to {SCHEMA}", self.schema));
        }
        if self.game != *game {
            return Err(format!("belongs to {}", self.game));
        }
        let bytes = self.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.size));
        let too_many_chunks = limits::GAME_BYTES_MAX / limits::CHUNK_BYTES + limits::ROOT_FILES_MAX as u64;
        if bytes.is_none_or(|bytes| bytes / self.chunk_bytes.max(1) > too_many_chunks) {
            return Err("lists more than any game has".to_owned());
        }
        Ok(self)
    }
}

/// Identifies this boot of the machine, if the system does so.
fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

fn file_name(game: &GameId, kind: RecordKind) -> String {
    match kind {
        RecordKind::Journal => format!("{game}.draft"),
        RecordKind::Receipt => format!("{game}.jsonl"),
    }
}

/// Path of a record, for messages.
pub(crate) fn shown(games: &GamesDir, game: &GameId, kind: RecordKind) -> PathBuf {
    games.state_path(DOWNLOADS_DIR, &file_name(game, kind))
}

impl Record {
    fn new(head: RecordHead) -> Self {
        let chunks = Chunks::of(&head.files, head.chunk_bytes);
        let here = vec![None; chunks.all().len()];
        let unneeded = vec![false; here.len()];
        let boot_id = head.boot_id.clone();
        let (manifest, progress) = (None, RecordProgress::Fetching);
        Self { head, chunks, here, manifest, progress, unneeded, boot_id, whole_bytes: 0 }
    }

    /// Reads the record of a game. A record whose first line is torn does not count.
    pub(crate) fn read(
        games: &GamesDir,
        game: &GameId,
        kind: RecordKind,
    ) -> Result<Option<Self>, StoreError> {
        let shown = shown(games, game, kind);
        let Some(downloads) = games.existing_state_folder(DOWNLOADS_DIR)? else { return Ok(None) };
        let opened = if_present(open_ours(&downloads, file_name(game, kind)));
        let Some(file) = opened.map_err(|error| error.of_ours("read", &shown))? else { return Ok(None) };
        let length = file.metadata().map_err(LocalError::io("read", &shown))?.len();
        if length > limits::RECORD_BYTES_MAX {
            return Err(FileError::TooLarge(limits::RECORD_BYTES_MAX).of_ours("read", &shown).into());
        }
        match Self::parse(BufReader::new(file), game) {
            Ok(record) => Ok(record),
            Err(ReadError::Io(error)) => Err(LocalError::io("read", &shown)(error).into()),
            Err(ReadError::Foreign(what)) => {
                let what = format!("{what}; remove it and the folder .downloading of the game");
                Err(ForeignState { path: shown, what }.into())
            }
        }
    }

    fn parse(mut reader: impl BufRead, game: &GameId) -> Result<Option<Self>, ReadError> {
        let Some(first) = next_line(&mut reader)? else { return Ok(None) };
        let head: RecordHead = serde_json::from_slice(&first).map_err(|error| {
            ReadError::Foreign(format!("is not a download record of this version ({error})"))
        })?;
        let mut record = Self::new(head.check(game).map_err(ReadError::Foreign)?);
        record.whole_bytes = first.len() as u64;
        let mut broken: Option<String> = None;
        while let Some(line) = next_line(&mut reader)? {
            // A crash can only tear the last line.
            if let Some(error) = broken {
                return Err(ReadError::Foreign(error));
            }
            let applied = serde_json::from_slice(&line)
                .map_err(|error| format!("has a line of another version ({error})"))
                .and_then(|line| record.apply(line));
            match applied {
                Ok(()) => record.whole_bytes += line.len() as u64,
                Err(error) => broken = Some(error),
            }
        }
        Ok(Some(record))
    }

    fn apply(&mut self, line: Line) -> Result<(), String> {
        let no_chunk = || "lists a chunk that does not exist".to_owned();
        match line {
            Line::Chunk(line) => {
                let chunk = self.chunks.at(line.file, line.chunk).ok_or_else(no_chunk)?;
                let number = |_| "has a malformed number".to_owned();
                self.here[chunk.id] = Some(Recorded {
                    checksum: line.crc32.parse().map_err(|_| "has a malformed number".to_owned())?,
                    peer: line.peer,
                    peer_id: PeerId::of_record(&line.peer_id)
                        .map_err(|_| "has a malformed peer id".to_owned())?,
                    fingerprint: u64::from_str_radix(&line.fingerprint, 16).map_err(number)?,
                });
            }
            Line::Dropped(place) => {
                let chunk = self.chunks.at(place.file, place.chunk).ok_or_else(no_chunk)?;
                self.here[chunk.id] = None;
            }
            Line::Checked { boot_id } => self.boot_id = boot_id,
            Line::Manifest { sha256 } => self.manifest = sha256,
            Line::Promote(_) => self.progress = self.progress.max(RecordProgress::Promoting),
            Line::Complete(_) => self.progress = RecordProgress::Complete,
        }
        Ok(())
    }

    /// Whether it was written or checked in this boot of the machine, so that its chunks need not be read again.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.boot_id.is_some() && self.boot_id == boot_id()
    }

    /// Bytes of the chunks that have arrived.
    pub fn here_bytes(&self) -> u64 {
        let here = self.chunks.all().iter().filter(|chunk| self.here[chunk.id].is_some());
        here.map(|chunk| chunk.length).sum()
    }

    /// Index of the sentinel in the list of files.
    pub fn sentinel(&self) -> Option<usize> {
        self.head.files.iter().position(|file| file.name == SENTINEL_FILE)
    }
}

enum ReadError {
    Io(io::Error),
    Foreign(String),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The next complete line with its line feed, or `None`. Bytes after the last line feed belong to a torn line.
fn next_line(reader: &mut impl BufRead) -> Result<Option<Vec<u8>>, ReadError> {
    let mut line = Vec::new();
    reader.take(limits::RECORD_LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.len() as u64 == limits::RECORD_LINE_BYTES_MAX {
        return Err(ReadError::Foreign("has a line that is too long".to_owned()));
    }
    Ok(line.ends_with(b"\n").then_some(line))
}

/// The journal of an unfinished download.
#[derive(Debug)]
pub struct Journal {
    /// What is recorded so far.
    pub record: Record,
    file: File,
    folder: Dir,
    shown: PathBuf,
}

impl Journal {
    /// Begins a journal, durably, so that everything the download then creates has a record.
    pub(crate) fn create(games: &GamesDir, head: &RecordHead) -> Result<Self, LocalError> {
        let shown = shown(games, &head.game, RecordKind::Journal);
        let create = |downloads: &Dir, name: &str| create_ours(downloads, name, FILE_PERMISSIONS);
        let name = file_name(&head.game, RecordKind::Journal);
        let (folder, file) = games.state_file(DOWNLOADS_DIR, &name, create)?;
        let mut journal = Self { record: Record::new(head.clone()), file, folder, shown };
        journal.write(head)?;
        journal.sync()?;
        sync_folder(&journal.folder, &journal.shown)?;
        Ok(journal)
    }

    /// Continues a journal after its last complete line.
    pub(crate) fn resume(games: &GamesDir, game: &GameId, record: Record) -> Result<Self, LocalError> {
        Self::append_to(games, game, RecordKind::Journal, record)
    }

    pub(crate) fn append_to(
        games: &GamesDir,
        game: &GameId,
        kind: RecordKind,
        record: Record,
    ) -> Result<Self, LocalError> {
        let shown = shown(games, game, kind);
        let open = |downloads: &Dir, name: &str| open_ours_to_write(downloads, name);
        let (folder, mut file) = games.state_file(DOWNLOADS_DIR, &file_name(game, kind), open)?;
        file.set_len(record.whole_bytes).map_err(LocalError::io("write", &shown))?;
        file.seek(SeekFrom::End(0)).map_err(LocalError::io("write", &shown))?;
        Ok(Self { record, file, folder, shown })
    }

    /// Records that a chunk is written and its CRC-32 is right.
    pub fn chunk(&mut self, id: usize, recorded: Recorded) -> Result<(), LocalError> {
        let chunk = self.record.chunks.all()[id];
        self.write(&Line::Chunk(ChunkLine {
            file: chunk.file,
            chunk: chunk.index,
            crc32: recorded.checksum.to_string(),
            peer: recorded.peer.clone(),
            peer_id: recorded.peer_id.to_string(),
            fingerprint: format!("{:016x}", recorded.fingerprint),
        }))?;
        self.record.here[id] = Some(recorded);
        Ok(())
    }

    /// Records that a chunk is no longer valid.
    pub fn drop_chunk(&mut self, id: usize) -> Result<(), LocalError> {
        let chunk = self.record.chunks.all()[id];
        self.write(&Line::Dropped(Place { file: chunk.file, chunk: chunk.index }))?;
        self.record.here[id] = None;
        Ok(())
    }

    /// Records that everything recorded so far was read again in this boot.
    pub(crate) fn checked(&mut self) -> Result<(), LocalError> {
        let boot_id = boot_id();
        self.write(&Line::Checked { boot_id: boot_id.clone() })?;
        self.record.boot_id = boot_id;
        Ok(())
    }

    /// Records that every chunk that is here, and every later one, is as this manifest lists it, or that this is no longer
    /// known.
    pub(crate) fn listed_in(&mut self, manifest: Option<ContentDigest>) -> Result<(), LocalError> {
        if self.record.manifest != manifest {
            self.write(&Line::Manifest { sha256: manifest })?;
            self.record.manifest = manifest;
        }
        Ok(())
    }

    /// Drops the chunks that `source` sent from files whose fingerprints have changed. Returns their ids: they must be
    /// fetched again.
    pub fn drop_changed(&mut self, source: PeerId, fingerprints: &[u64]) -> Result<Vec<usize>, LocalError> {
        let changed = |id: &usize| {
            let file = self.record.chunks.all()[*id].file;
            self.record.here[*id].as_ref().is_some_and(|recorded| {
                recorded.peer_id == source && fingerprints.get(file) != Some(&recorded.fingerprint)
            })
        };
        let changed: Vec<usize> = (0..self.record.here.len()).filter(changed).collect();
        for id in &changed {
            self.drop_chunk(*id)?;
        }
        Ok(changed)
    }

    /// Records, durably, that the files are complete and durable and are being promoted.
    pub(crate) fn promote(&mut self) -> Result<(), LocalError> {
        self.write(&Line::Promote(true))?;
        self.record.progress = RecordProgress::Promoting;
        self.sync()
    }

    /// Completes the record when everything is in its place, durably, and makes it the receipt.
    pub(crate) fn complete(&mut self) -> Result<(), LocalError> {
        if self.record.progress < RecordProgress::Complete {
            self.write(&Line::Complete(true))?;
            self.record.progress = RecordProgress::Complete;
        }
        self.sync()?;
        let game = &self.record.head.game;
        let (journal, receipt) = (file_name(game, RecordKind::Journal), file_name(game, RecordKind::Receipt));
        let published = self.shown.with_file_name(&receipt);
        let renamed = rename_over((&self.folder, &journal), (&self.folder, &receipt), &published);
        renamed.map_err(LocalError::io("write", &self.shown))?;
        sync_folder(&self.folder, &self.shown)
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), LocalError> {
        let failed = LocalError::io("write", &self.shown);
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut bytes| {
            bytes.push(b'\n');
            let begun = self.file.stream_position()?;
            self.file.write_all(&bytes).inspect_err(|_| {
                // Half a line before a complete one could not be read. If this fails too, the torn line is the last
                // one.
                let _ = self.file.set_len(begun).and_then(|()| self.file.seek(SeekFrom::Start(begun)));
            })
        });
        written.map_err(failed)
    }

    pub(crate) fn sync(&self) -> Result<(), LocalError> {
        sync_file(&self.file, &self.shown).map_err(LocalError::io("sync", &self.shown))
    }
}

/// Whether there is a record of either kind.
pub(crate) fn exists(games: &GamesDir, game: &GameId) -> Result<bool, LocalError> {
    let Some(downloads) = games.existing_state_folder(DOWNLOADS_DIR)? else { return Ok(false) };
    let is_there = |kind| downloads.symlink_metadata(file_name(game, kind)).is_ok();
    Ok(is_there(RecordKind::Journal) || is_there(RecordKind::Receipt))
}

/// Removes a record, durably, if there is one.
pub(crate) fn remove(games: &GamesDir, game: &GameId, kind: RecordKind) -> Result<(), LocalError> {
    let Some(downloads) = games.existing_state_folder(DOWNLOADS_DIR)? else { return Ok(()) };
    match downloads.remove_file(file_name(game, kind)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LocalError::io("remove", shown(games, game, kind))(error))
        }
        Err(_) => Ok(()),
        Ok(()) => sync_folder(&downloads, &shown(games, game, kind)),
    }
}

/// Whether a download of a game has begun and is not complete.
pub(crate) fn is_begun(games_dir: &Path, game: &GameId) -> bool {
    let journal = file_name(game, RecordKind::Journal);
    games_dir.join(STATE_DIR).join(DOWNLOADS_DIR).join(journal).symlink_metadata().is_ok()
}

/// All games with a journal, for recovery.
pub(crate) fn begun(games: &GamesDir) -> Result<Vec<GameId>, LocalError> {
    games.games_with_state(DOWNLOADS_DIR, ".draft")
}

#[cfg(test)]
mod tests;
