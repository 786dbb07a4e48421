//! The receipt of an install: what was installed, from which peer, with which checksums. One JSON object per line.
//!
//! A receipt is written while files are verified, so that 100,000 files cost no memory: as `<game>.draft` during the
//! install, and renamed to `<game>.jsonl` after the promotion. The first line says what was installed and from which
//! peer, and with which manifest it was compared. Then there is one line per file. The last line has the totals; without
//! it a receipt is incomplete.
//!
//! Schema 1 has neither trust nor digests: such a tree is unverified. In schema 2 every file of a verified tree has the
//! SHA-256 that the manifest lists, and a stamp: inode, modification time and change time (in nanoseconds) of the file
//! after its last byte. As long as it has this size and this stamp, it has not been written to. A CRC-32 is missing if
//! `verify` has proved the file by its digest only.
//!
//! A receipt is read completely or refused. Another schema, an unknown or too long line, a path that an installed tree
//! cannot have, a path twice, totals that are not the sums, or anything after them is an error that names its line.

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;

use cap_std::fs::Dir;
use lanspread_types::checksum::{Checksum, ContentDigest};
use serde::{Deserialize, Serialize, Serializer};

use lanspread_types::content::{InstallTrust, Totals};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use lanspread_types::layout::RECEIPTS_DIR;
use lanspread_types::regular_file::create_ours;

use crate::state::disk_calls::sync_file;
use crate::state::games_dir::{FILE_PERMISSIONS, GamesDir, sync_folder};

/// The schema that is written.
pub(super) const SCHEMA: u32 = 2;
/// The first schema, which is still read.
pub(super) const FIRST_SCHEMA: u32 = 1;

/// First line of a receipt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiptHead {
    pub(crate) schema: u32,
    pub(crate) game: GameId,
    pub(crate) version: GameVersion,
    pub(crate) source: PeerName,
    pub(crate) source_id: String,
    /// Missing in schema 1.
    #[serde(default = "unverified")]
    pub(crate) trust: InstallTrust,
    /// The manifest with which each byte was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<ContentDigest>,
}

fn unverified() -> InstallTrust {
    InstallTrust::Unverified
}

impl ReceiptHead {
    /// The first line of a new receipt.
    pub(crate) fn new(
        game: &GameId,
        version: &GameVersion,
        source: &PeerName,
        source_id: PeerId,
        manifest: Option<ContentDigest>,
    ) -> Self {
        Self {
            schema: SCHEMA,
            game: game.clone(),
            version: version.clone(),
            source: source.clone(),
            source_id: source_id.to_string(),
            trust: if manifest.is_some() { InstallTrust::Verified } else { InstallTrust::Unverified },
            manifest,
        }
    }

    /// The same, once the tree was compared with this manifest.
    pub(crate) fn verified(&self, manifest: ContentDigest) -> Self {
        let (schema, trust, manifest) = (SCHEMA, InstallTrust::Verified, Some(manifest));
        let Self { game, version, source, source_id, .. } = self;
        let (game, version, source, source_id) =
            (game.clone(), version.clone(), source.clone(), source_id.clone());
        Self { schema, game, version, source, source_id, trust, manifest }
    }
}

/// What identifies a file as long as it is not written to and keeps its mode. A rename of a folder above it changes none
/// of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileStamp {
    pub(crate) inode: u64,
    pub(crate) modified_ns: i64,
    pub(crate) changed_ns: i64,
}

impl FileStamp {
    /// The stamp of a complete file that will be renamed. The rename changes the last of its numbers, which is 0 until
    /// [`Self::renamed`] is asked for it.
    pub(crate) fn before_rename(metadata: &Metadata) -> Self {
        Self { changed_ns: 0, ..Self::of(metadata) }
    }

    /// The stamp of a file that was renamed, if this is its stamp from before that. Nothing but a rename came between.
    pub(crate) fn renamed(self, metadata: &Metadata) -> Self {
        let now = Self::of(metadata);
        let is_it = (self.inode, self.modified_ns, self.changed_ns) == (now.inode, now.modified_ns, 0);
        if is_it { now } else { self }
    }

    /// The stamp of a file, which must be complete.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            inode: metadata.ino(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// One installed file.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct FileLine<'a> {
    pub(crate) path: &'a str,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crc32: Option<ChecksumText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<ContentDigest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stamp: Option<FileStamp>,
}

/// A checksum that is written as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChecksumText(pub(crate) Checksum);

impl Serialize for ChecksumText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Last line of a receipt.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptTail {
    pub(super) files: u64,
    pub(super) directories: u64,
    pub(super) bytes: u64,
}

/// A receipt that is being written.
#[derive(Debug)]
pub(crate) struct ReceiptDraft {
    file: BufWriter<File>,
    shown: std::path::PathBuf,
    /// Bytes written so far.
    bytes: u64,
}

pub(super) fn draft_name(game: &GameId) -> String {
    format!("{game}.draft")
}

fn beside_name(game: &GameId) -> String {
    format!("{game}.stamped")
}

pub(super) fn final_name(game: &GameId) -> String {
    format!("{game}.jsonl")
}

impl ReceiptDraft {
    pub(crate) fn create(games: &GamesDir, head: &ReceiptHead) -> Result<Self, LocalError> {
        Self::create_as(games, &draft_name(&head.game), head)
    }

    /// A draft that takes the place of the draft of this game when it is complete and durable: see [`replace_draft`].
    pub(crate) fn beside(games: &GamesDir, head: &ReceiptHead) -> Result<Self, LocalError> {
        Self::create_as(games, &beside_name(&head.game), head)
    }

    fn create_as(games: &GamesDir, name: &str, head: &ReceiptHead) -> Result<Self, LocalError> {
        let shown = games.state_path(RECEIPTS_DIR, name);
        let receipts = games.state_folder(RECEIPTS_DIR)?;
        let created = create_ours(&receipts, name, FILE_PERMISSIONS);
        let file = BufWriter::new(created.map_err(|error| error.of_ours("create", &shown))?);
        let mut draft = Self { file, shown, bytes: 0 };
        draft.line(head)?;
        Ok(draft)
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, line: &FileLine<'_>) -> Result<(), LocalError> {
        self.line(line)
    }

    /// Completes the draft; the caller makes it durable with everything else.
    pub(crate) fn complete(&mut self, totals: Totals) -> Result<(), LocalError> {
        self.line(&ReceiptTail {
            files: totals.files,
            directories: totals.directories,
            bytes: totals.bytes,
        })?;
        self.file.flush().map_err(LocalError::io("write", &self.shown))
    }

    /// Makes the draft durable by itself.
    pub(crate) fn sync(&self) -> Result<(), LocalError> {
        sync_file(self.file.get_ref(), &self.shown).map_err(LocalError::io("sync", &self.shown))
    }

    /// Bytes that the draft has so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), LocalError> {
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.bytes += line.len() as u64;
            self.file.write_all(&line)
        });
        written.map_err(LocalError::io("write", &self.shown))
    }
}

/// Puts the draft that was written beside it in the place of the draft.
pub(crate) fn replace_draft(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(receipts) = games.existing_state_folder(RECEIPTS_DIR)? else { return Ok(()) };
    let shown = games.state_path(RECEIPTS_DIR, &draft_name(game));
    let renamed = receipts.rename(beside_name(game), &receipts, draft_name(game));
    renamed.map_err(LocalError::io("write", &shown))?;
    sync_folder(&receipts, &shown)
}

/// Makes the draft the receipt. There is no draft if an earlier recovery got this far.
pub(crate) fn publish(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(receipts) = games.existing_state_folder(RECEIPTS_DIR)? else { return Ok(()) };
    let shown = games.state_path(RECEIPTS_DIR, &final_name(game));
    match receipts.rename(draft_name(game), &receipts, final_name(game)) {
        Ok(()) => sync_folder(&receipts, &shown),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(LocalError::io("write", &shown)(error)),
    }
}

/// Removes the draft, if there is one.
pub(crate) fn discard(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(receipts) = games.existing_state_folder(RECEIPTS_DIR)? else { return Ok(()) };
    for name in [beside_name(game), draft_name(game)] {
        let removed = remove_file(&receipts, &name);
        removed.map_err(LocalError::io("remove", games.state_path(RECEIPTS_DIR, &name)))?;
    }
    Ok(())
}

/// Removes the receipt, durably, if there is one.
pub(crate) fn remove(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(receipts) = games.existing_state_folder(RECEIPTS_DIR)? else { return Ok(()) };
    let shown = games.state_path(RECEIPTS_DIR, &final_name(game));
    remove_file(&receipts, &final_name(game)).map_err(LocalError::io("remove", &shown))?;
    sync_folder(&receipts, &shown)
}

fn remove_file(dir: &Dir, name: &str) -> io::Result<()> {
    match dir.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
