//! A removal that is killed anywhere is completed by the next operation or the next start, records included.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lanspread_testing::machine::{Machine, Node, Tree};
use lanspread_types::content::RootFile;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::download::{commit, partials};
use crate::recover::{lock_and_recover, recover_all};
use crate::state::intent;
use crate::state::intent::Intent;

struct Fixture {
    machine: Machine,
    games: Arc<GamesDir>,
    game: GameId,
}

impl Fixture {
    /// A game that was downloaded, of which a newer version is being downloaded, and that has a file of the user.
    fn new() -> Self {
        let machine = Machine::new();
        let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
        let fixture = Self { machine, games, game: "g".parse().unwrap() };
        let (_, mut journal) = fixture.prepare("1");
        commit::begin(&fixture.games, &fixture.game, &mut journal).unwrap();
        commit::promote(&fixture.games, &fixture.game, &journal.record).unwrap();
        commit::finish(&fixture.games, &fixture.game, &mut journal).unwrap();
        drop(fixture.prepare("2"));
        fs::write(fixture.root().join("notes.txt"), "mine").unwrap();
        fixture
    }

    fn prepare(&self, version: &str) -> (partials::Partials, crate::state::record::Journal) {
        let file = |name: &str| RootFile { name: name.to_owned(), size: 0 };
        let files = [file("a.eti"), file("b.eti"), file("version.ini")];
        let version = version.parse().unwrap();
        partials::prepare(&self.games, &self.game, &version, &files, None, &CancellationToken::new()).unwrap()
    }

    fn root(&self) -> PathBuf {
        self.machine.games_dir().join("g")
    }

    fn state(&self) -> PathBuf {
        self.machine.games_dir().join(".lanspread")
    }

    /// Everything except the folders of our own state.
    fn everything(&self) -> Tree {
        let mut everything = self.machine.everything();
        everything.retain(|path, node| *node != Node::Folder || !path.starts_with(".lanspread"));
        everything
    }

    fn removed() -> Tree {
        let file = Node::File(b"mine".to_vec(), false);
        Tree::from([("g".to_owned(), Node::Folder), ("g/notes.txt".to_owned(), file)])
    }
}

#[test]
fn a_removal_takes_the_files_of_all_downloads_and_their_records() {
    let fixture = Fixture::new();
    let removed = remove(&fixture.games, &fixture.game).unwrap();
    assert_eq!(removed.files, 3);
    assert_eq!(fixture.everything(), Fixture::removed());
    let again = remove(&fixture.games, &fixture.game);
    assert!(matches!(again, Err(StoreError::NotDownloaded { .. })), "{again:?}");
}

#[test]
fn killed_between_any_two_steps_a_removal_is_undone_or_completed() {
    for by_start in [false, true] {
        for count in 0..=steps::REMOVE.len() {
            let fixture = Fixture::new();
            let before = fixture.everything();
            let (games, game) = (&fixture.games, &fixture.game);
            intent::write(games, game, &Intent::new(IntentStep::Remove)).unwrap();
            steps::run(&steps::REMOVE[..count], games, game).unwrap();
            if by_start {
                recover_all(games.path(), |_, _| {}).unwrap();
            } else {
                drop(lock_and_recover(games, game).unwrap());
            }
            let expected = if count == 0 { before } else { Fixture::removed() };
            assert_eq!(fixture.everything(), expected, "killed after {count} steps");
        }
    }
}

/// On a full disk the intent is a name in the games directory; it is recovered as every other one.
#[test]
fn on_a_full_disk_a_removal_works_and_is_recovered() {
    let fixture = Fixture::new();
    fixture.games.pretend_full();
    remove(&fixture.games, &fixture.game).unwrap();
    assert_eq!(fixture.everything(), Fixture::removed());
    for count in 0..=steps::REMOVE.len() {
        let fixture = Fixture::new();
        let before = fixture.everything();
        let (games, game) = (&fixture.games, &fixture.game);
        games.pretend_full();
        intent::write(games, game, &Intent::new(IntentStep::Remove)).unwrap();
        assert!(!fixture.state().join("intents").exists());
        steps::run(&steps::REMOVE[..count], games, game).unwrap();
        recover_all(games.path(), |_, _| {}).unwrap();
        let expected = if count == 0 { before } else { Fixture::removed() };
        assert_eq!(fixture.everything(), expected, "killed after {count} steps");
    }
}

/// Versions before this one left a record without files behind if a removal was killed.
#[test]
fn a_record_without_files_is_removed() {
    let fixture = Fixture::new();
    fs::remove_dir_all(fixture.root()).unwrap();
    let removed = remove(&fixture.games, &fixture.game).unwrap();
    assert_eq!(removed, Removed { files: 0, bytes: 0 });
    assert_eq!(fixture.everything(), Tree::new());
}

#[test]
fn what_is_not_ours_in_the_place_of_unfinished_files_is_left_alone() {
    let fixture = Fixture::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "kept").unwrap();
    fs::remove_dir_all(fixture.root().join(DOWNLOADING_DIR)).unwrap();
    std::os::unix::fs::symlink(outside.path(), fixture.root().join(DOWNLOADING_DIR)).unwrap();
    let before = fixture.everything();
    let refused = remove(&fixture.games, &fixture.game);
    assert!(matches!(refused, Err(StoreError::Foreign(_))), "{refused:?}");
    assert_eq!(fixture.everything(), before);
    assert!(outside.path().join("precious").exists());
}
