//! The record of a repair, which fetches parts of files.

use super::{Record, RecordHead};
use crate::state::repair_kind::RepairKind;
use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameId, GameVersion};

impl RecordHead {
    /// The record of a repair, which fetches chunks of so many bytes.
    pub(crate) fn of_repair(
        game: &GameId,
        version: &GameVersion,
        files: &[RootFile],
        chunk_bytes: u64,
        kind: RepairKind,
    ) -> Self {
        Self { chunk_bytes, repair: Some(kind), ..Self::new(game, version, files, false) }
    }
}

impl Record {
    /// Whether a chunk must still be fetched.
    pub fn is_missing(&self, id: usize) -> bool {
        self.here[id].is_none() && !self.unneeded[id]
    }

    /// Bytes of the chunks that must still be fetched.
    pub fn missing_bytes(&self) -> u64 {
        let missing = self.chunks.all().iter().filter(|chunk| self.is_missing(chunk.id));
        missing.map(|chunk| chunk.length).sum()
    }
}
