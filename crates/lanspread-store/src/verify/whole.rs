//! Looks quickly whether a game is whole: by the names and sizes of its files, without reading one. `compare` reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lanspread_trust::manifest::ManifestFile;
use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;

use crate::error::StoreError;
use crate::state::game_state::GameState;
use crate::state::games_dir::GamesDir;
use crate::state::receipt_reader;
use crate::state::tree::{FoundFile, open_local, walk};
use crate::verify::downloaded::DownloadedFiles;

/// Which parts of a game have every file, in the recorded size. A part that is not here, or of which nothing is recorded,
/// lacks nothing that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// The installed tree, by its receipt.
    pub tree: bool,
    /// The downloaded files, by their record or the manifest of their version; without either, the volumes of each archive
    /// are there.
    pub download: bool,
}

/// Looks at a locked game.
///
/// # Errors
/// [`StoreError::Foreign`] for a record that cannot be read, or if something else has the place of a folder; failures of
/// this machine's disk.
pub fn whole(
    games: &Arc<GamesDir>,
    game: &GameId,
    manifest: Option<&Arc<ManifestFile>>,
) -> Result<Whole, StoreError> {
    Ok(Whole { tree: is_tree_whole(games, game)?, download: is_download_whole(games, game, manifest)? })
}

fn is_tree_whole(games: &GamesDir, game: &GameId) -> Result<bool, StoreError> {
    let Some(local) = open_local(games, game)? else { return Ok(true) };
    let Some(receipt) = receipt_reader::read(games, game)? else { return Ok(true) };
    let mut missing: BTreeMap<&str, u64> =
        receipt.files.iter().map(|(path, file)| (path.as_str(), file.size)).collect();
    walk(&local, &games.root_path(game).join(LOCAL_DIR), &mut |path, found| {
        if let (Some(name), FoundFile::File(size)) = (path.to_str(), found)
            && missing.get(name) == Some(&size)
        {
            missing.remove(name);
        }
        Ok(())
    })?;
    Ok(missing.is_empty())
}

fn is_download_whole(
    games: &Arc<GamesDir>,
    game: &GameId,
    manifest: Option<&Arc<ManifestFile>>,
) -> Result<bool, StoreError> {
    let Some(state) = GameState::read(games.path(), game)?.filter(GameState::downloaded) else {
        return Ok(true);
    };
    match DownloadedFiles::find(games, game, manifest)? {
        Some(files) => Ok(files.have_their_sizes()?),
        None => Ok(state.archives().is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lanspread_types::checksum::Checksum;
    use lanspread_types::content::Totals;
    use lanspread_types::ids::PeerId;

    use super::*;
    use crate::state::receipt::{ChecksumText, FileLine, ReceiptDraft, ReceiptHead, publish};

    /// A game of two installed files and a receipt of them.
    fn installed() -> (tempfile::TempDir, Arc<GamesDir>, GameId) {
        let folder = tempfile::tempdir().unwrap();
        let games = Arc::new(GamesDir::open(folder.path()).unwrap());
        let game: GameId = "g".parse().unwrap();
        fs::create_dir_all(folder.path().join("g/local/data")).unwrap();
        let head = ReceiptHead::new(
            &game,
            &"1".parse().unwrap(),
            &"pc".parse().unwrap(),
            PeerId::random().unwrap(),
            None,
        );
        let mut draft = ReceiptDraft::create(&games, &head).unwrap();
        for (path, content) in [("data/one", &b"abc"[..]), ("two", b"")] {
            fs::write(folder.path().join("g/local").join(path), content).unwrap();
            let crc32 = Some(ChecksumText(Checksum::of(content)));
            draft
                .file(&FileLine { path, size: content.len() as u64, crc32, sha256: None, stamp: None })
                .unwrap();
        }
        draft.complete(Totals { files: 2, directories: 1, bytes: 3 }).unwrap();
        publish(&games, &game).unwrap();
        (folder, games, game)
    }

    fn tree_is_whole(games: &Arc<GamesDir>, game: &GameId) -> bool {
        let whole = whole(games, game, None).unwrap();
        assert!(whole.download, "nothing is downloaded");
        whole.tree
    }

    #[test]
    fn a_tree_is_whole_if_each_recorded_file_has_its_size() {
        type Change = fn(&std::path::Path);
        let table: [(Change, bool); 6] = [
            (|_| (), true),
            (|local| fs::write(local.join("save"), "mine").unwrap(), true),
            (|local| fs::write(local.join("data/one"), "xyz").unwrap(), true),
            (|local| fs::write(local.join("data/one"), "longer").unwrap(), false),
            (|local| fs::remove_file(local.join("two")).unwrap(), false),
            (
                |local| {
                    fs::remove_file(local.join("data/one")).unwrap();
                    std::os::unix::fs::symlink("../two", local.join("data/one")).unwrap();
                },
                false,
            ),
        ];
        for (number, (change, expected)) in table.into_iter().enumerate() {
            let (folder, games, game) = installed();
            change(&folder.path().join("g/local"));
            assert_eq!(tree_is_whole(&games, &game), expected, "row {number}");
        }
    }

    #[test]
    fn what_is_not_recorded_lacks_nothing_that_is_known() {
        let (folder, games, game) = installed();
        fs::remove_file(folder.path().join(".lanspread/receipts/g.jsonl")).unwrap();
        fs::remove_file(folder.path().join("g/local/two")).unwrap();
        assert!(tree_is_whole(&games, &game));
        assert!(tree_is_whole(&games, &"other".parse().unwrap()));
    }

    #[test]
    fn copied_archives_are_whole_if_no_volume_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let games = Arc::new(GamesDir::open(folder.path()).unwrap());
        let game: GameId = "g".parse().unwrap();
        fs::create_dir(folder.path().join("g")).unwrap();
        for name in ["version.ini", "a.part1.eti", "a.part2.eti", "a.part3.eti"] {
            fs::write(folder.path().join("g").join(name), "1").unwrap();
        }
        assert_eq!(whole(&games, &game, None).unwrap(), Whole { tree: true, download: true });
        fs::remove_file(folder.path().join("g/a.part2.eti")).unwrap();
        assert_eq!(whole(&games, &game, None).unwrap(), Whole { tree: true, download: false });
    }
}
