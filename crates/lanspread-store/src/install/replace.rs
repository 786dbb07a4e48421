//! Decides whether a tree may be installed: if there is none yet, or if replacing the old one loses no file of the
//! user.

use std::path::Path;

use crate::error::StoreError;
use lanspread_trust::manifest::{EntryContent, ManifestFile};
use lanspread_types::content::InstallTrust;
use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;
use lanspread_types::limits;

use crate::install::tree_repair::lists_tree;
use crate::state::games_dir::GamesDir;
use crate::state::receipt_reader;
use crate::state::receipt_reader::{Receipt, ReceiptError};

use crate::state::tree::{FoundFile, open_local, shown_path, walk};

/// What an install does if there is an installed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replace {
    /// Whether the tree may be replaced at all.
    pub allowed: bool,
    /// Whether the user's files in it may be lost.
    pub force: bool,
    /// Whether a verified tree may be replaced: the new one will be verified too, or the user accepts one that is not.
    pub over_verified: bool,
}

impl Replace {
    /// It installs only where nothing is installed.
    pub const NEW: Self = Self { allowed: false, force: false, over_verified: false };
}

/// Whether there is an installed tree that will be replaced.
///
/// # Errors
/// [`StoreError::AlreadyInstalled`] if it may not be replaced, and the errors of [`refuse_user_files`].
pub fn permit(games: &GamesDir, game: &GameId, replace: Replace) -> Result<bool, StoreError> {
    if open_local(games, game)?.is_none() {
        return Ok(false);
    }
    if !replace.allowed {
        let path = games.root_path(game).join(LOCAL_DIR);
        return Err(StoreError::AlreadyInstalled { game: game.clone(), path });
    }
    if !replace.over_verified {
        refuse_verified(games, game)?;
    }
    if !replace.force {
        refuse_user_files(games, game)?;
    }
    Ok(true)
}

/// Refuses if the receipt says that the installed tree is verified. A receipt that cannot be read says nothing, and is
/// refused elsewhere.
fn refuse_verified(games: &GamesDir, game: &GameId) -> Result<(), StoreError> {
    let head = match receipt_reader::head(games, game) {
        Ok(head) => head,
        Err(ReceiptError::Malformed { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    match head {
        Some(head) if head.trust == InstallTrust::Verified => {
            let path = games.root_path(game).join(LOCAL_DIR);
            Err(StoreError::VerifiedHere { game: game.clone(), path })
        }
        _ => Ok(()),
    }
}

/// Files that the user added or changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFiles {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<String>,
}

impl UserFiles {
    fn note(&mut self, file: &Path) {
        self.count += 1;
        if self.first.len() < limits::USER_FILES_SHOWN {
            self.first.push(shown_path(file));
        }
    }

    /// Refuses if there are any.
    fn refuse(self, games: &GamesDir, game: &GameId, is_recorded: bool) -> Result<(), StoreError> {
        let Self { count, first: files } = self;
        let (game, path) = (game.clone(), games.root_path(game).join(LOCAL_DIR));
        match (count, is_recorded) {
            (0, _) => Ok(()),
            (_, true) => Err(StoreError::UserFiles { game, path, count, files }),
            (_, false) => Err(StoreError::NoReceipt { game, path, count }),
        }
    }
}

/// What is in `local/`, and what of it is the user's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeHere {
    /// Number of files and links.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Those of them that the user added or changed.
    pub users: UserFiles,
    /// Whether a receipt says what was installed.
    is_recorded: bool,
}

/// Looks through `local/`. Files that are not in the receipt or have another size are the user's; without a receipt, every
/// file is. None if nothing is installed.
///
/// # Errors
/// [`StoreError::Foreign`] for a receipt that cannot be read; failures of this machine's disk.
pub fn tree_here(games: &GamesDir, game: &GameId) -> Result<Option<TreeHere>, StoreError> {
    let Some(local) = open_local(games, game)? else { return Ok(None) };
    let receipt = receipt_reader::read(games, game)?;
    let mut here = TreeHere { is_recorded: receipt.is_some(), ..TreeHere::default() };
    walk(&local, &games.root_path(game).join(LOCAL_DIR), &mut |file, found| {
        here.files += 1;
        if let FoundFile::File(size) = found {
            here.bytes += size;
        }
        if !is_as_installed(receipt.as_ref(), file.to_str(), found) {
            here.users.note(file);
        }
        Ok(())
    })?;
    Ok(Some(here))
}

/// Refuses if `local/` holds files that the user added or changed, as [`tree_here`] finds them.
///
/// # Errors
/// [`StoreError::UserFiles`], or [`StoreError::NoReceipt`] if there is no receipt; and those of [`tree_here`].
pub fn refuse_user_files(games: &GamesDir, game: &GameId) -> Result<(), StoreError> {
    let Some(here) = tree_here(games, game)? else { return Ok(()) };
    here.users.refuse(games, game, here.is_recorded)
}

/// Refuses if a repair would take the place of a file that the user changed: one of the game, as its receipt or the manifest
/// names it, that is here in another size. A repair keeps what the user added and loses nothing that is missing, and it does not
/// touch a tree without a receipt.
///
/// # Errors
/// [`StoreError::UserFiles`]; [`StoreError::Foreign`] for a receipt that cannot be read; failures of this machine's disk.
pub fn refuse_changed_files(
    games: &GamesDir,
    game: &GameId,
    manifest: Option<&ManifestFile>,
) -> Result<(), StoreError> {
    let Some(local) = open_local(games, game)? else { return Ok(()) };
    let Some(receipt) = receipt_reader::read(games, game)? else { return Ok(()) };
    let manifest = manifest.filter(|manifest| lists_tree(manifest, &receipt.head.version));
    let mut users = UserFiles::default();
    walk(&local, &games.root_path(game).join(LOCAL_DIR), &mut |file, found| {
        let size = file.to_str().and_then(|name| size_in_game(&receipt, manifest, name));
        if size.is_some_and(|size| found != FoundFile::File(size)) {
            users.note(file);
        }
        Ok(())
    })?;
    users.refuse(games, game, true)
}

/// The size of a file of the game; none if it is not one.
fn size_in_game(receipt: &Receipt, manifest: Option<&ManifestFile>, path: &str) -> Option<u64> {
    let installed = receipt.files.get(path).map(|file| file.size);
    installed.or_else(|| match manifest?.manifest().entries.find(path)?.content {
        EntryContent::File { size, .. } => Some(size),
        EntryContent::Folder => None,
    })
}

fn is_as_installed(receipt: Option<&Receipt>, path: Option<&str>, found: FoundFile) -> bool {
    let installed = receipt.zip(path).and_then(|(receipt, path)| receipt.files.get(path));
    matches!((installed, found), (Some(installed), FoundFile::File(size)) if installed.size == size)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use lanspread_testing::machine::{Node, Tree};
    use lanspread_testing::manifests;
    use lanspread_types::checksum::{Checksum, ContentDigest};
    use lanspread_types::content::Totals;
    use lanspread_types::ids::PeerId;

    use super::*;
    use crate::state::receipt::publish;
    use crate::state::receipt::{ChecksumText, FileLine, ReceiptDraft, ReceiptHead};

    const YES: Replace = Replace { allowed: true, force: false, over_verified: false };

    /// An installed game of two files, with its receipt.
    fn installed(receipt: bool) -> (tempfile::TempDir, GamesDir, GameId) {
        installed_with(receipt, None)
    }

    fn installed_with(
        receipt: bool,
        manifest: Option<ContentDigest>,
    ) -> (tempfile::TempDir, GamesDir, GameId) {
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        let game: GameId = "g".parse().unwrap();
        let local = folder.path().join("g/local");
        fs::create_dir_all(local.join("data")).unwrap();
        fs::write(local.join("data/one"), "abc").unwrap();
        fs::write(local.join("two"), "").unwrap();
        if receipt {
            let (version, name) = ("1".parse().unwrap(), "pc".parse().unwrap());
            let id = PeerId::random().unwrap();
            let head = ReceiptHead::new(&game, &version, &name, id, manifest);
            let mut draft = ReceiptDraft::create(&games, &head).unwrap();
            for (path, content) in [("data/one", &b"abc"[..]), ("two", b"")] {
                let (size, crc32) = (content.len() as u64, Some(ChecksumText(Checksum::of(content))));
                let sha256 = manifest.map(|_| ContentDigest::of(content));
                draft.file(&FileLine { path, size, crc32, sha256, stamp: None }).unwrap();
            }
            draft.complete(Totals { files: 2, directories: 0, bytes: 3 }).unwrap();
            publish(&games, &game).unwrap();
        }
        (folder, games, game)
    }

    #[test]
    fn a_tree_as_it_was_installed_may_be_replaced_but_not_installed_over() {
        let (folder, games, game) = installed(true);
        assert!(permit(&games, &game, YES).unwrap());
        fs::remove_file(folder.path().join("g/local/two")).unwrap();
        assert!(permit(&games, &game, YES).unwrap(), "a missing file cannot be lost");
        let no = Replace { allowed: false, force: true, over_verified: true };
        assert!(matches!(permit(&games, &game, no), Err(StoreError::AlreadyInstalled { .. })));
        assert!(!permit(&games, &"other".parse().unwrap(), no).unwrap());
    }

    #[test]
    fn what_the_user_added_or_changed_is_named() {
        type Change = fn(&Path);
        let table: [(Change, &str); 4] = [
            (|local| fs::write(local.join("data/save.dat"), "mine").unwrap(), "data/save.dat"),
            (|local| fs::write(local.join("data/one"), "longer").unwrap(), "data/one"),
            (|local| symlink("/", local.join("link")).unwrap(), "link"),
            (
                |local| {
                    fs::remove_file(local.join("two")).unwrap();
                    symlink("data/one", local.join("two")).unwrap();
                },
                "two",
            ),
        ];
        for (change, name) in table {
            let (folder, games, game) = installed(true);
            change(&folder.path().join("g/local"));
            match permit(&games, &game, YES) {
                Err(StoreError::UserFiles { count: 1, files, .. }) => assert_eq!(files, [name]),
                other => panic!("{name}: {other:?}"),
            }
            assert!(permit(&games, &game, Replace { force: true, ..YES }).unwrap());
        }
    }

    /// A repair keeps what was added, and what is missing cannot be lost.
    #[test]
    fn only_changed_files_of_the_game_are_in_the_way_of_a_repair() {
        type Change = fn(&Path);
        let table: [(Change, &[&str]); 6] = [
            (|local| fs::write(local.join("data/save.dat"), "mine").unwrap(), &[]),
            (|local| symlink("/", local.join("link")).unwrap(), &[]),
            (|local| fs::remove_file(local.join("two")).unwrap(), &[]),
            // The same size: whether it was changed or is damaged, `permit` does not see it either.
            (|local| fs::write(local.join("data/one"), "xyz").unwrap(), &[]),
            (|local| fs::write(local.join("data/one"), "longer").unwrap(), &["data/one"]),
            (
                |local| {
                    fs::remove_file(local.join("two")).unwrap();
                    symlink("data/one", local.join("two")).unwrap();
                },
                &["two"],
            ),
        ];
        for (number, (change, expected)) in table.into_iter().enumerate() {
            let (folder, games, game) = installed(true);
            change(&folder.path().join("g/local"));
            match (refuse_changed_files(&games, &game, None), expected) {
                (Ok(()), []) => {}
                (Err(StoreError::UserFiles { count: 1, files, .. }), [_]) => {
                    assert_eq!(files, expected, "row {number}");
                }
                (other, _) => panic!("row {number}: {other:?}"),
            }
        }
        let (folder, games, game) = installed(false);
        fs::write(folder.path().join("g/local/two"), "longer").unwrap();
        refuse_changed_files(&games, &game, None).expect("a tree without a receipt is not repaired");
        refuse_changed_files(&games, &"other".parse().unwrap(), None).expect("nothing is here");
    }

    /// A newer manifest may list files that the receipt does not have: a repair would replace them.
    #[test]
    fn a_file_that_only_the_manifest_lists_counts_as_one_of_the_game() {
        let (folder, games, game) = installed(true);
        let file = |content: &[u8]| Node::File(content.to_vec(), false);
        let tree = Tree::from([("data/one".to_owned(), file(b"abc")), ("three".to_owned(), file(b"333"))]);
        let of_version = |version: &str| manifests::of_tree(&game, &version.parse().unwrap(), &tree, &[]);
        let listed = folder.path().join("g/local/three");
        refuse_changed_files(&games, &game, Some(&of_version("1"))).expect("it is missing");
        fs::write(&listed, "333").unwrap();
        refuse_changed_files(&games, &game, Some(&of_version("1"))).expect("it is as listed");
        fs::write(&listed, "mine").unwrap();
        let error = refuse_changed_files(&games, &game, Some(&of_version("1"))).unwrap_err();
        assert!(matches!(&error, StoreError::UserFiles { files, .. } if files == &["three"]), "{error:?}");
        refuse_changed_files(&games, &game, Some(&of_version("2"))).expect("of another version");
    }

    #[test]
    fn many_files_are_counted_and_a_few_are_named() {
        let (folder, games, game) = installed(true);
        for number in 0..20 {
            fs::write(folder.path().join(format!("g/local/save{number:02}")), "").unwrap();
        }
        let error = permit(&games, &game, YES).unwrap_err();
        assert!(error.to_string().contains("save04, …"), "{error}");
        match error {
            StoreError::UserFiles { count, files, .. } => {
                assert_eq!((count, files.len()), (20, limits::USER_FILES_SHOWN));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_receipt_everything_is_the_user_s() {
        let (folder, games, game) = installed(false);
        let error = permit(&games, &game, YES).unwrap_err();
        assert!(matches!(error, StoreError::NoReceipt { count: 2, .. }), "{error:?}");
        assert_eq!(error.code(), "user-files");
        fs::remove_dir_all(folder.path().join("g/local")).unwrap();
        fs::create_dir_all(folder.path().join("g/local/empty")).unwrap();
        assert!(permit(&games, &game, YES).unwrap(), "without files nothing is lost");
    }

    /// `force` is about the user's files: it does not permit that something less certain takes the place of a verified tree.
    #[test]
    fn a_verified_tree_is_not_replaced_by_one_that_is_not() {
        let (_folder, games, game) = installed_with(true, Some(ContentDigest::of(b"manifest")));
        for force in [false, true] {
            let error = permit(&games, &game, Replace { force, ..YES }).unwrap_err();
            assert!(matches!(error, StoreError::VerifiedHere { .. }), "{error:?}");
            assert!(permit(&games, &game, Replace { force, over_verified: true, ..YES }).unwrap());
        }
    }

    #[test]
    fn a_receipt_that_cannot_be_read_permits_nothing() {
        let (folder, games, game) = installed(true);
        fs::write(folder.path().join(".lanspread/receipts/g.jsonl"), "{\"schema\":9}\n").unwrap();
        let error = permit(&games, &game, YES).unwrap_err();
        assert!(matches!(error, StoreError::Foreign(_)), "{error:?}");
        assert!(error.to_string().contains("schema 9"), "{error}");
        assert!(permit(&games, &game, Replace { force: true, ..YES }).unwrap());
    }
}
