//! Compares the downloaded files of a game, chunk by chunk, with the manifest of their version, or else with the record of
//! their download. If they are as the manifest lists them, the record says so from then on.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::StoreError;
use cap_std::fs::Dir;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::content::RootFile;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion};

use lanspread_types::regular_file::open_ours_to_write;

use crate::state::game_state::GameState;
use crate::state::games_dir::GamesDir;
use crate::state::listed_chunks::ListedChunks;
use crate::state::record;
use crate::state::record::{Record, RecordKind};
use crate::state::tree::open_file;
use crate::verify::comparison::{Comparison, Problem, VerifyPart};

/// Name of this part in events.
pub(crate) const PART: &str = "download";

/// The downloaded files of a game, and what they are compared with.
pub(crate) struct DownloadedFiles {
    games: Arc<GamesDir>,
    game: GameId,
    /// `None` if the game root is gone.
    root: Option<Dir>,
    shown: PathBuf,
    pub(crate) expected: ExpectedFiles,
}

pub(crate) enum ExpectedFiles {
    /// What was recorded when they arrived.
    Recorded(Record),
    /// What a manifest lists, and the record if there is one.
    Listed(ListedChunks, Option<Record>),
}

impl DownloadedFiles {
    /// The downloaded files of a locked game; `None` if lanspread did not download them and no manifest is about them.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for a record that is malformed or of another version; failures of this machine's disk.
    pub(crate) fn find(
        games: &Arc<GamesDir>,
        game: &GameId,
        manifest: Option<&Arc<ManifestFile>>,
    ) -> Result<Option<Self>, StoreError> {
        let record = Record::read(games, game, RecordKind::Receipt)?;
        let version = match &record {
            Some(record) => Some(record.head.version.clone()),
            None => GameState::read(games.path(), game)?.and_then(|state| state.version),
        };
        let listed = manifest.filter(|manifest| Some(&manifest.manifest().version) == version.as_ref());
        let expected = match (listed, record) {
            (Some(manifest), record) => {
                ExpectedFiles::Listed(ListedChunks::new(Arc::clone(manifest)), record)
            }
            (None, Some(record)) => ExpectedFiles::Recorded(record),
            (None, None) => return Ok(None),
        };
        let shown = games.root_path(game);
        let root = match games.dir().open_dir(game.as_str()) {
            Ok(root) => Some(root),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(LocalError::io("open", &shown)(error).into()),
        };
        Ok(Some(Self { games: Arc::clone(games), game: game.clone(), root, shown, expected }))
    }

    /// A regular file of the game root and its length. It may be a link, as when it is served.
    pub(crate) fn open(&self, name: &str) -> Result<Option<(File, u64)>, LocalError> {
        let Some(root) = &self.root else { return Ok(None) };
        match open_file(root, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map_err(LocalError::io("open", self.shown.join(name))),
        }
    }

    /// Whether a file can be changed where it is: it is no link, has no other name, and may be written to.
    pub(crate) fn can_be_changed(&self, name: &str) -> bool {
        self.root.as_ref().is_some_and(|root| open_ours_to_write(root, name).is_ok())
    }

    /// Path of a file, for messages.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.shown.join(name)
    }

    /// Records that all files are as the manifest lists them, if there is one and a receipt.
    pub(crate) fn found_right(&self) -> Result<(), LocalError> {
        match &self.expected {
            ExpectedFiles::Listed(listed, Some(record)) if listed.is_trusted() => {
                record::trust::found_as_listed(&self.games, &self.game, record.clone(), listed.manifest())
            }
            _ => Ok(()),
        }
    }

    /// The version that the files are of.
    pub(crate) fn version(&self) -> &GameVersion {
        match &self.expected {
            ExpectedFiles::Recorded(record) => &record.head.version,
            ExpectedFiles::Listed(listed, _) => listed.version(),
        }
    }

    pub(crate) fn files(&self) -> &[RootFile] {
        match &self.expected {
            ExpectedFiles::Recorded(record) => &record.head.files,
            ExpectedFiles::Listed(listed, _) => listed.files(),
        }
    }

    /// Whether each file is there with its size. Nothing is read.
    pub(crate) fn have_their_sizes(&self) -> Result<bool, LocalError> {
        for file in self.files() {
            if self.open(&file.name)?.is_none_or(|(_, size)| size != file.size) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn judge(&self, file: usize, comparison: &mut Comparison<'_>) -> Result<Option<Problem>, StoreError> {
        let expected = &self.files()[file];
        let (mut content, size) = match self.open(&expected.name)? {
            None => return Ok(Some(Problem::Missing)),
            Some((_, size)) if size != expected.size => return Ok(Some(Problem::Size)),
            Some(found) => found,
        };
        debug_assert_eq!(size, expected.size);
        let record = match &self.expected {
            ExpectedFiles::Recorded(record) => record,
            ExpectedFiles::Listed(listed, _) => {
                let shown = self.shown.join(&expected.name);
                let read = |bytes| {
                    comparison.advance(bytes);
                    comparison.go_on()
                };
                let are_in = listed.are_in(file, &mut content, &shown, 0..size, read)?;
                return Ok((!are_in).then_some(Problem::Content));
            }
        };
        // The chunks of a file are contiguous, so the file is read once from start to end.
        for chunk in record.chunks.of_file(file) {
            let part = (&mut content).take(chunk.length);
            let read = comparison.read(part)?;
            let (length, checksum) = read.map_err(LocalError::io("read", self.shown.join(&expected.name)))?;
            let recorded = record.here[chunk.id].as_ref().map(|recorded| recorded.checksum);
            if length != chunk.length || recorded != Some(checksum) {
                return Ok(Some(Problem::Content));
            }
        }
        Ok(None)
    }
}

impl VerifyPart for DownloadedFiles {
    fn bytes(&self) -> u64 {
        self.files().iter().map(|file| file.size).sum()
    }

    fn compare(&self, comparison: &mut Comparison<'_>) -> Result<(), StoreError> {
        let mut all_are_right = true;
        for (file, expected) in self.files().iter().enumerate() {
            let problem = self.judge(file, comparison)?;
            all_are_right &= problem.is_none();
            comparison.file(PART, &expected.name, problem);
        }
        if all_are_right {
            self.found_right()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
