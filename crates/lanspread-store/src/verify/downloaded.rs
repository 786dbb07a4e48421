//! Compares the downloaded files of a game with the record of their download, chunk by chunk.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::error::StoreError;
use cap_std::fs::Dir;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;

use crate::state::games_dir::GamesDir;
use crate::state::record::{Record, RecordKind};
use crate::verify::comparison::{Comparison, Problem, VerifyPart, open_file};

/// Name of this part in events.
const PART: &str = "download";

/// The downloaded files of a game and the record of their download.
pub(crate) struct DownloadedFiles {
    /// `None` if the game root is gone.
    root: Option<Dir>,
    shown: PathBuf,
    record: Record,
}

impl DownloadedFiles {
    /// The downloaded files of a locked game; `None` if lanspread did not download them.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for a record that is malformed or of another version; failures of this machine's disk.
    pub(crate) fn find(games: &GamesDir, game: &GameId) -> Result<Option<Self>, StoreError> {
        let Some(record) = Record::read(games, game, RecordKind::Receipt)? else { return Ok(None) };
        let shown = games.root_path(game);
        let root = match games.dir().open_dir(game.as_str()) {
            Ok(root) => Some(root),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(LocalError::io("open", &shown)(error).into()),
        };
        Ok(Some(Self { root, shown, record }))
    }

    /// A regular file of the game root and its length. It may be a link, as when it is served.
    fn open(&self, name: &str) -> Result<Option<(File, u64)>, LocalError> {
        let Some(root) = &self.root else { return Ok(None) };
        match open_file(root, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map_err(LocalError::io("open", self.shown.join(name))),
        }
    }

    fn judge(&self, file: usize, comparison: &mut Comparison<'_>) -> Result<Option<Problem>, StoreError> {
        let expected = &self.record.head.files[file];
        let (mut content, size) = match self.open(&expected.name)? {
            None => return Ok(Some(Problem::Missing)),
            Some((_, size)) if size != expected.size => return Ok(Some(Problem::Size)),
            Some(found) => found,
        };
        debug_assert_eq!(size, expected.size);
        // The chunks of a file are contiguous, so the file is read once from start to end.
        for chunk in self.record.chunks.of_file(file) {
            let part = (&mut content).take(chunk.length);
            let read = comparison.read(part)?;
            let (length, checksum) = read.map_err(LocalError::io("read", self.shown.join(&expected.name)))?;
            let recorded = self.record.here[chunk.id].as_ref().map(|recorded| recorded.checksum);
            if length != chunk.length || recorded != Some(checksum) {
                return Ok(Some(Problem::Content));
            }
        }
        Ok(None)
    }
}

impl VerifyPart for DownloadedFiles {
    fn bytes(&self) -> u64 {
        self.record.head.files.iter().map(|file| file.size).sum()
    }

    fn compare(&self, comparison: &mut Comparison<'_>) -> Result<(), StoreError> {
        for (file, expected) in self.record.head.files.iter().enumerate() {
            let problem = self.judge(file, comparison)?;
            comparison.file(PART, &expected.name, problem);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
