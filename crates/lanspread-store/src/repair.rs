//! Finds out what of a game must be repaired, and what is needed for it; unpacks the entries of a tree that are wrong.
//!
//! What is compared is what `verify` compares. The difference is that each listed chunk of a damaged file is judged, and
//! that what is right is noted for the receipt of the repaired tree.

mod parts;
mod root;
mod unpack;

use std::path::Path;
use std::sync::Arc;

use lanspread_trust::manifest::ManifestFile;
use lanspread_types::content::InstallTrust;
use lanspread_types::ids::GameId;
use tokio_util::sync::CancellationToken;

pub use self::parts::{parts_of_tree, put_headers};
pub use self::root::RootRepair;
pub use self::unpack::{UnpackRepair, unpack};
use crate::error::StoreError;
pub use crate::install::tree_repair::TreeRepair;
use crate::install::tree_repair::{Damaged, lists_tree};
use crate::state::game_state::GameState;
use crate::state::games_dir::GamesDir;
use crate::state::receipt;
use crate::state::receipt_reader::InstalledFile;
use crate::state::tree::open_local;
use crate::verify::comparison::{
    Comparison, Counts, Difference, INSTALLED, Problem, Recording, VerifyObserver, VerifyPart,
};
use crate::verify::downloaded::DownloadedFiles;
use crate::verify::installed::InstalledTree;
use crate::verify::listed::ListedTree;

/// What of a game is not as it was installed or downloaded.
#[derive(Debug)]
pub struct Findings {
    /// Of the installed tree; none if it is as it should be, or if there is none.
    pub tree: Option<Arc<TreeRepair>>,
    /// Of the downloaded files, likewise.
    pub root: Option<RootRepair>,
    /// What was compared.
    pub counts: Counts,
    /// Whether the tree is one that was compared with a manifest; none without a tree.
    pub trust: Option<InstallTrust>,
}

/// Compares a locked game with its records, as `verify` does, and notes what must be replaced.
///
/// # Errors
/// As [`crate::verify::parts`] and [`crate::verify::comparison::compare`].
pub fn examine(
    games: &Arc<GamesDir>,
    game: &GameId,
    manifest: Option<&Arc<ManifestFile>>,
    recording: Recording,
    observer: &mut dyn VerifyObserver,
    cancel: &CancellationToken,
) -> Result<Findings, StoreError> {
    let tree = InstalledTree::find(games, game)?;
    let download = DownloadedFiles::find(games, game, manifest)?;
    if tree.is_none() && download.is_none() {
        return Err(without_record(games, game)?);
    }
    let bytes_of = |part: &dyn VerifyPart| part.bytes();
    let bytes_total = tree.as_ref().map_or(0, |tree| bytes_of(tree))
        + download.as_ref().map_or(0, |download| bytes_of(download));
    let mut noted = Noting { observer, damaged: Damaged::default() };
    let mut comparison = Comparison::new(bytes_total, &mut noted, cancel);
    let compared = match tree {
        Some(tree) => Some(compare_tree(games, tree, manifest, &mut comparison)?),
        None => None,
    };
    let root = match &download {
        Some(download) => RootRepair::find(download, recording, &mut comparison)?,
        None => None,
    };
    let counts = comparison.counts();
    let tree = match compared {
        Some(compared) => compared.repair(games, game, recording, &noted.damaged)?,
        None => None,
    };
    let trust = GameState::read(games.path(), game)?.and_then(|state| state.installed_trust);
    Ok(Findings { tree, root, counts, trust })
}

/// How many files of a game are missing or have another size, without a look at what is in them. A game without records has
/// none, and one whose records cannot be read is for `verify` to judge.
///
/// # Errors
/// Failures of this machine's disk; [`StoreError::Foreign`].
pub fn plain_differences(games: &Arc<GamesDir>, game: &GameId) -> Result<u64, StoreError> {
    let tree = match InstalledTree::find(games, game) {
        Err(StoreError::NotVerifiable { .. }) => None,
        found => found?,
    };
    let in_tree = tree.map_or(0, |tree| {
        let size_of =
            |path: &str| tree.local.symlink_metadata(path).ok().filter(cap_std::fs::Metadata::is_file);
        let differs = |(path, file): &(&String, &InstalledFile)| {
            size_of(path).is_none_or(|found| found.len() != file.size)
        };
        tree.receipt.files.iter().filter(differs).count()
    });
    let download = DownloadedFiles::find(games, game, None)?;
    let in_root = match &download {
        None => 0,
        Some(download) => {
            let mut count = 0;
            for file in download.files() {
                let size = download.open(&file.name)?.map(|(_, size)| size);
                count += usize::from(size != Some(file.size));
            }
            count
        }
    };
    Ok((in_tree + in_root) as u64)
}

fn without_record(games: &Arc<GamesDir>, game: &GameId) -> Result<StoreError, StoreError> {
    let installed = open_local(games, game)?.is_some();
    let downloaded = GameState::read(games.path(), game)?.is_some_and(|state| state.downloaded());
    Ok(if installed || downloaded {
        let reason = "nothing records what was installed or downloaded".to_owned();
        StoreError::NotVerifiable { game: game.clone(), reason }
    } else {
        let path = games.root_path(game).join(lanspread_types::layout::LOCAL_DIR);
        StoreError::NotInstalled { game: game.clone(), path }
    })
}

/// A tree that was compared.
enum ComparedTree {
    Listed(ListedTree, Vec<Option<crate::state::receipt::FileStamp>>),
    Recorded(InstalledTree),
}

fn compare_tree(
    games: &Arc<GamesDir>,
    tree: InstalledTree,
    manifest: Option<&Arc<ManifestFile>>,
    comparison: &mut Comparison<'_>,
) -> Result<ComparedTree, StoreError> {
    let listed = manifest.filter(|manifest| lists_tree(manifest, &tree.receipt.head.version));
    let Some(manifest) = listed else {
        tree.compare(comparison)?;
        return Ok(ComparedTree::Recorded(tree));
    };
    let InstalledTree { local, shown, receipt } = tree;
    let tree = ListedTree { games: Arc::clone(games), local, shown, receipt, manifest: Arc::clone(manifest) };
    let stamps = tree.stamps(comparison)?;
    Ok(ComparedTree::Listed(tree, stamps))
}

impl ComparedTree {
    /// What must be repaired. A tree that is as its manifest lists it gets a receipt that says so, as by `verify`.
    fn repair(
        self,
        games: &Arc<GamesDir>,
        game: &GameId,
        recording: Recording,
        damaged: &Damaged,
    ) -> Result<Option<Arc<TreeRepair>>, StoreError> {
        let (repair, is_known) = match &self {
            Self::Recorded(tree) => (TreeRepair::recorded(&tree.receipt, damaged), true),
            Self::Listed(tree, stamps) => (
                TreeRepair::listed(&tree.receipt, &tree.manifest, stamps.clone(), damaged),
                tree.receipt.head.manifest == Some(tree.manifest.digest()),
            ),
        };
        if repair.entries() > 0 {
            return Ok(Some(Arc::new(repair)));
        }
        if !is_known && recording == Recording::On {
            let mut draft = repair.draft(games, game)?;
            draft.complete(repair.totals())?;
            draft.sync()?;
            receipt::publish(games, game)?;
        }
        Ok(None)
    }
}

/// Passes a comparison on, and notes what of the tree differs.
struct Noting<'o> {
    observer: &'o mut dyn VerifyObserver,
    damaged: Damaged,
}

impl VerifyObserver for Noting<'_> {
    fn progress(&mut self, bytes: u64, bytes_total: u64) {
        self.observer.progress(bytes, bytes_total);
    }

    fn difference(&mut self, difference: Difference) {
        if difference.part == INSTALLED && difference.problem != Problem::Added {
            if difference.problem == Problem::Executable {
                self.damaged.only_mode.insert(difference.path.clone());
            }
            self.damaged.paths.insert(difference.path.clone());
        }
        self.observer.difference(difference);
    }
}

/// Refuses if something stands in the way of a repair: a folder where a file belongs, or something else where a
/// folder does. A repair leaves them, so it would not end well.
///
/// # Errors
/// [`StoreError::InTheWay`] with the first of them.
pub fn refuse_obstacles(games: &GamesDir, game: &GameId, repair: &TreeRepair) -> Result<(), StoreError> {
    let Some(local) = open_local(games, game)? else { return Ok(()) };
    let mut found = std::collections::BTreeSet::new();
    let is_folder = |path: &Path| local.symlink_metadata(path).ok().map(|found| found.is_dir());
    for (path, must_be_folder) in repair.places() {
        let path = Path::new(path);
        // A file or link in the place of a file is replaced.
        if is_folder(path).is_some_and(|is_folder| is_folder != must_be_folder) {
            found.insert(path.to_path_buf());
        }
        let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        found.extend(above.filter(|above| is_folder(above) == Some(false)).map(Path::to_path_buf));
    }
    if found.is_empty() {
        return Ok(());
    }
    let (count, path) = (found.len() as u64, games.root_path(game).join(lanspread_types::layout::LOCAL_DIR));
    let first = found.iter().take(lanspread_types::limits::USER_FILES_SHOWN);
    let files = first.map(|path| crate::state::tree::shown_path(path)).collect();
    Err(StoreError::InTheWay { game: game.clone(), path, count, files })
}

#[cfg(test)]
mod tests;
