//! Compares an installed tree with the receipt of its install, file by file.

use cap_std::fs::Dir;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;

use crate::error::StoreError;
use crate::state::games_dir::GamesDir;
use crate::state::receipt_reader;
use crate::state::receipt_reader::InstalledFile;
use crate::state::receipt_reader::Receipt;
use crate::state::receipt_reader::ReceiptError;

use crate::state::tree::{FoundFile, open_local, shown_path, walk};
use crate::verify::comparison::{Comparison, Problem, VerifyPart, open_file};

/// An installed tree and its receipt.
pub(crate) struct InstalledTree {
    local: Dir,
    shown: std::path::PathBuf,
    receipt: Receipt,
}

/// Name of this part in events.
pub(crate) const PART: &str = "local";

impl InstalledTree {
    /// The installed tree of a locked game; `None` without `local/` or without a receipt.
    ///
    /// # Errors
    /// [`StoreError::NotVerifiable`] for a malformed receipt, [`StoreError::Foreign`] if `local/` is not a folder;
    /// failures of this machine's disk.
    pub(crate) fn find(games: &GamesDir, game: &GameId) -> Result<Option<Self>, StoreError> {
        let Some(local) = open_local(games, game)? else { return Ok(None) };
        let receipt = receipt_reader::read(games, game).map_err(|error| match error {
            ReceiptError::Local(error) => error.into(),
            malformed @ ReceiptError::Malformed { .. } => StoreError::NotVerifiable {
                game: game.clone(),
                reason: format!("its receipt cannot be read: {malformed}"),
            },
        })?;
        let shown = games.root_path(game).join(LOCAL_DIR);
        Ok(receipt.map(|receipt| Self { local, shown, receipt }))
    }

    fn judge(
        &self,
        path: &std::path::Path,
        size: u64,
        installed: InstalledFile,
        comparison: &mut Comparison,
    ) -> Result<Option<Problem>, StoreError> {
        if size != installed.size {
            return Ok(Some(Problem::Size));
        }
        let io = |action| LocalError::io(action, self.shown.join(path));
        let Some((file, _)) = open_file(&self.local, path).map_err(io("open"))? else {
            return Ok(Some(Problem::Missing));
        };
        let (length, checksum) = comparison.read(file)?.map_err(io("read"))?;
        Ok(if length != installed.size {
            Some(Problem::Size)
        } else if checksum != installed.checksum {
            Some(Problem::Content)
        } else {
            None
        })
    }
}

impl VerifyPart for InstalledTree {
    fn bytes(&self) -> u64 {
        self.receipt.totals.bytes
    }

    fn compare(&self, comparison: &mut Comparison<'_>) -> Result<(), StoreError> {
        let mut missing = self.receipt.files.clone();
        walk(&self.local, &self.shown, &mut |path, found| {
            comparison.go_on()?;
            // A link in the place of a file does not count as the file.
            let installed = match found {
                FoundFile::File(size) => {
                    path.to_str().and_then(|name| missing.remove(name)).map(|installed| (size, installed))
                }
                FoundFile::Other => None,
            };
            let problem = match installed {
                Some((size, installed)) => self.judge(path, size, installed, comparison)?,
                None => Some(Problem::Added),
            };
            comparison.file(PART, &shown_path(path), problem);
            Ok(())
        })?;
        for path in missing.keys() {
            comparison.file(PART, path, Some(Problem::Missing));
        }
        Ok(())
    }
}
