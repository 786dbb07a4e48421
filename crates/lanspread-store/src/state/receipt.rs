//! The receipt of an install: what was installed, from which peer, with which checksums. One JSON object per line.
//!
//! A receipt is written while files are verified, so that 100,000 files cost no memory: as `<game>.draft` during the
//! install, and renamed to `<game>.jsonl` after the promotion. The first line says what was installed and from which
//! peer. Then there is one line per file. The last line has the totals; without it a receipt is incomplete.
//!
//! A receipt is read completely or refused. Another schema, an unknown or too long line, a path that an installed tree
//! cannot have, a path twice, totals that are not the sums, or anything after them is an error that names its line.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use cap_std::fs::Dir;
use lanspread_types::checksum::Checksum;
use serde::{Deserialize, Serialize};

use lanspread_types::content::Totals;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use lanspread_types::layout::RECEIPTS_DIR;
use lanspread_types::regular_file::create_ours;

use crate::state::games_dir::{FILE_PERMISSIONS, GamesDir, sync_folder};

/// The one schema that exists.
pub(super) const SCHEMA: u32 = 1;

/// First line of a receipt.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptHead {
    pub(super) schema: u32,
    pub(super) game: GameId,
    pub(super) version: GameVersion,
    pub(super) source: PeerName,
    pub(super) source_id: String,
}

/// One installed file.
#[derive(Serialize)]
struct FileLine<'a> {
    path: &'a str,
    size: u64,
    crc32: String,
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

fn draft_name(game: &GameId) -> String {
    format!("{game}.draft")
}

pub(super) fn final_name(game: &GameId) -> String {
    format!("{game}.jsonl")
}

impl ReceiptDraft {
    pub(crate) fn create(
        games: &GamesDir,
        game: &GameId,
        version: &GameVersion,
        source: &PeerName,
        source_id: PeerId,
    ) -> Result<Self, LocalError> {
        let name = draft_name(game);
        let shown = games.state_path(RECEIPTS_DIR, &name);
        let receipts = games.state_folder(RECEIPTS_DIR)?;
        let created = create_ours(&receipts, &name, FILE_PERMISSIONS);
        let file = BufWriter::new(created.map_err(|error| error.of_ours("create", &shown))?);
        let mut draft = Self { file, shown, bytes: 0 };
        draft.line(&ReceiptHead {
            schema: SCHEMA,
            game: game.clone(),
            version: version.clone(),
            source: source.clone(),
            source_id: source_id.to_string(),
        })?;
        Ok(draft)
    }

    pub(crate) fn file(&mut self, path: &str, size: u64, checksum: Checksum) -> Result<(), LocalError> {
        self.line(&FileLine { path, size, crc32: checksum.to_string() })
    }

    /// Completes the draft; the caller makes it durable with everything else.
    pub(crate) fn complete(mut self, totals: Totals) -> Result<(), LocalError> {
        self.line(&ReceiptTail {
            files: totals.files,
            directories: totals.directories,
            bytes: totals.bytes,
        })?;
        self.file.flush().map_err(LocalError::io("write", &self.shown))
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
    remove_file(&receipts, &draft_name(game))
        .map_err(LocalError::io("remove", games.state_path(RECEIPTS_DIR, &draft_name(game))))
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
