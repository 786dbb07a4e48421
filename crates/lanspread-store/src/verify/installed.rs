//! Compares an installed tree with the receipt of its install, file by file.

use std::collections::BTreeMap;
use std::sync::Arc;

use cap_std::fs::Dir;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::checksum::{ChecksumHasher, ContentHasher};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;

use crate::error::StoreError;
use crate::state::games_dir::GamesDir;
use crate::state::receipt_reader;
use crate::state::receipt_reader::Receipt;
use crate::state::receipt_reader::ReceiptError;
use crate::state::receipt_reader::{InstalledContent, InstalledFile};

use crate::state::tree::open_file;
use crate::state::tree::{FoundFile, open_local, shown_path, walk};
use crate::verify::comparison::{Comparison, INSTALLED, Problem, VerifyPart};
use crate::verify::listed::ListedTree;

/// An installed tree and its receipt.
pub(crate) struct InstalledTree {
    pub(crate) local: Dir,
    pub(crate) shown: std::path::PathBuf,
    pub(crate) receipt: Receipt,
}

/// The installed tree of a locked game, to be compared with the manifest if it is of the version that is installed, and
/// otherwise with its receipt. `None` without `local/` or without a receipt.
///
/// # Errors
/// [`StoreError::NotVerifiable`] for a malformed receipt, [`StoreError::Foreign`] if `local/` is not a folder; failures
/// of this machine's disk.
pub(crate) fn find(
    games: &Arc<GamesDir>,
    game: &GameId,
    manifest: Option<Arc<ManifestFile>>,
) -> Result<Option<Box<dyn VerifyPart>>, StoreError> {
    let Some(tree) = InstalledTree::find(games, game)? else { return Ok(None) };
    let manifest = manifest.filter(|manifest| manifest.manifest().version == tree.receipt.head.version);
    let Some(manifest) = manifest else { return Ok(Some(Box::new(tree))) };
    let InstalledTree { local, shown, receipt } = tree;
    Ok(Some(Box::new(ListedTree { games: Arc::clone(games), local, shown, receipt, manifest })))
}

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
        let (mut checksum, mut digest) = (ChecksumHasher::default(), ContentHasher::default());
        let length = comparison.read_into(file, |bytes| match installed.content {
            InstalledContent::Checksum(_) => checksum.update(bytes),
            InstalledContent::Digest(_) => digest.update(bytes),
        })?;
        let length = length.map_err(io("read"))?;
        let got = match installed.content {
            InstalledContent::Checksum(_) => InstalledContent::Checksum(checksum.finish()),
            InstalledContent::Digest(_) => InstalledContent::Digest(digest.finish()),
        };
        Ok(if length != installed.size {
            Some(Problem::Size)
        } else if got != installed.content {
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
        let mut missing: BTreeMap<&str, InstalledFile> =
            self.receipt.files.iter().map(|(path, file)| (path.as_str(), *file)).collect();
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
            comparison.file(INSTALLED, &shown_path(path), problem);
            Ok(())
        })?;
        for path in missing.keys() {
            comparison.file(INSTALLED, path, Some(Problem::Missing));
        }
        Ok(())
    }
}
