//! If the process is killed between any two steps of a promotion, the game is the old version or, after recovery, the
//! new one.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use lanspread_testing::machine::{Machine, Node, Tree};
use lanspread_types::checksum::Checksum;
use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameVersion, PeerId};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::state::disk_calls::script;
use crate::state::game_state::GameState;
use crate::state::record::Recorded;

const OLD: [(&str, &str); 3] = [("a.eti", "old"), ("gone.eti", "old"), ("version.ini", "1")];
const NEW: [(&str, &str); 4] =
    [("a.eti", "newer"), ("b.eti", "new"), ("empty.eti", ""), ("version.ini", "2")];

struct Fixture {
    machine: Machine,
    games: Arc<GamesDir>,
    game: GameId,
    is_update: bool,
}

impl Fixture {
    /// A game root with the old version, or with nothing but a file of the user.
    fn new(is_update: bool) -> Self {
        let machine = Machine::new();
        let root = machine.games_dir().join("g");
        fs::create_dir_all(root.join("local")).unwrap();
        fs::write(root.join("local/save"), "mine").unwrap();
        fs::write(root.join("notes.txt"), "mine").unwrap();
        fs::create_dir(root.join("folder.eti")).unwrap();
        if is_update {
            for (name, content) in OLD {
                fs::write(root.join(name), content).unwrap();
            }
        }
        let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
        Self { machine, games, game: "g".parse().unwrap(), is_update }
    }

    fn version() -> GameVersion {
        "2".parse().unwrap()
    }

    /// Everything of the new version is fetched.
    fn fetched(&self) -> Journal {
        let files: Vec<RootFile> = NEW
            .iter()
            .map(|(name, content)| RootFile { name: (*name).to_owned(), size: content.len() as u64 })
            .collect();
        let cancel = CancellationToken::new();
        let (partials, mut journal) =
            partials::prepare(&self.games, &self.game, &Self::version(), &files, &cancel).unwrap();
        for chunk in journal.record.chunks.all().to_vec() {
            let content = NEW[chunk.file].1.as_bytes();
            partials.open(chunk.file).unwrap().write_all_at(content, 0).unwrap();
            let recorded = Recorded {
                checksum: Checksum::of(content),
                peer: "pc".parse().unwrap(),
                peer_id: PeerId::random().unwrap(),
                fingerprint: 1,
            };
            journal.chunk(chunk.id, recorded).unwrap();
        }
        journal
    }

    fn root(&self) -> Tree {
        let tree = self.machine.everything();
        let below = tree
            .into_iter()
            .filter_map(|(path, node)| path.strip_prefix("g/").map(|path| (path.to_owned(), node)));
        below.collect()
    }

    fn expected(files: &[(&str, &str)]) -> Tree {
        let file = |content: &str| Node::File(content.as_bytes().to_vec(), false);
        let mut tree: Tree = [("local", Node::Folder), ("folder.eti", Node::Folder)]
            .into_iter()
            .chain([("local/save", file("mine")), ("notes.txt", file("mine"))])
            .map(|(path, node)| (path.to_owned(), node))
            .collect();
        tree.extend(files.iter().map(|(name, content)| ((*name).to_owned(), file(content))));
        tree
    }

    fn old(&self) -> Tree {
        Self::expected(if self.is_update { &OLD } else { &[] })
    }

    /// What is offered: the version, and whether the archives beside it are those of this version.
    fn offered(&self) -> Option<String> {
        let state = GameState::read(&self.machine.games_dir(), &self.game).unwrap().unwrap();
        let version = state.version?;
        let names: Vec<String> = state.root_files.into_iter().map(|file| file.name).collect();
        let expected: &[(&str, &str)] = if version.as_str() == "1" { &OLD } else { &NEW };
        assert_eq!(names, expected.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "a mix is offered");
        for (name, content) in expected {
            assert_eq!(fs::read_to_string(state.root.join(name)).unwrap(), *content, "a mix is offered");
        }
        Some(version.to_string())
    }

    /// Makes the change of this number that a promotion makes on disk; false if there is none.
    fn step(&self, number: usize, journal: &mut Journal) -> bool {
        let (games, game) = (&self.games, &self.game);
        let root = open_root(games, game).unwrap().unwrap();
        let downloading = || open_downloading(games, game, &root).unwrap().unwrap();
        match number {
            0 => journal.promote().unwrap(),
            1 => remove_old_sentinel(games, game).unwrap(),
            2 => remove_other_archives(&root, games, game, &journal.record).unwrap(),
            3..=6 => downloading().rename(NEW[number - 3].0, &root, NEW[number - 3].0).unwrap(),
            7 => root.remove_dir_all(DOWNLOADING_DIR).unwrap(),
            8 => journal.complete().unwrap(),
            _ => return false,
        }
        true
    }
}

/// What `remove` does about a download, before and after it removes the files themselves.
fn forget(games: &GamesDir, game: &GameId) -> Result<(), StoreError> {
    forget_partials(games, game)?;
    Ok(forget_receipt(games, game)?)
}

#[test]
fn a_commit_leaves_the_new_version_its_record_and_what_is_the_user_s() {
    for is_update in [false, true] {
        let fixture = Fixture::new(is_update);
        let mut journal = fixture.fetched();
        begin(&fixture.games, &fixture.game, &mut journal).unwrap();
        promote(&fixture.games, &fixture.game, &journal.record).unwrap();
        finish(&fixture.games, &fixture.game, &mut journal).unwrap();
        assert_eq!(fixture.root(), Fixture::expected(&NEW));
        assert_eq!(Record::read(&fixture.games, &fixture.game, RecordKind::Journal).unwrap(), None);
        assert!(Record::read(&fixture.games, &fixture.game, RecordKind::Receipt).unwrap().is_some());
        assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), None);
        assert_eq!(fixture.offered().as_deref(), Some("2"));
    }
}

#[test]
fn killed_between_any_two_steps_recovery_gives_old_or_new_and_a_mix_is_never_offered() {
    for is_update in [false, true] {
        for steps in 0.. {
            let fixture = Fixture::new(is_update);
            let mut journal = fixture.fetched();
            let mut is_over = false;
            for number in 0..steps {
                is_over |= !fixture.step(number, &mut journal);
                fixture.offered();
            }
            drop(journal);
            let done = recover(&fixture.games, &fixture.game).unwrap();
            if steps == 0 {
                assert_eq!((done, fixture.offered()), (None, is_update.then(|| "1".to_owned())));
                let mut root = fixture.root();
                assert!(
                    root.keys().any(|path| path.starts_with(DOWNLOADING_DIR)),
                    "what has arrived is kept"
                );
                root.retain(|path, _| !path.starts_with(DOWNLOADING_DIR));
                assert_eq!(root, fixture.old());
            } else {
                assert_eq!(fixture.root(), Fixture::expected(&NEW), "killed after {steps} steps: {done:?}");
                assert_eq!(fixture.offered().as_deref(), Some("2"));
                assert!(record::begun(&fixture.games).unwrap().is_empty());
                assert!(Record::read(&fixture.games, &fixture.game, RecordKind::Receipt).unwrap().is_some());
            }
            assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), None, "recovery is idempotent");
            if is_over {
                break;
            }
        }
    }
}

#[test]
fn a_promotion_whose_files_the_user_removed_meanwhile_is_discarded() {
    let fixture = Fixture::new(true);
    let mut journal = fixture.fetched();
    begin(&fixture.games, &fixture.game, &mut journal).unwrap();
    fs::remove_file(fixture.machine.games_dir().join("g/.downloading/b.eti")).unwrap();
    assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), Some("download-discarded"));
    assert_eq!(fixture.offered(), None, "no sentinel beside archives that are not its own");
    assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), None);
}

#[test]
fn what_is_not_ours_is_reported_and_left_alone() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "kept").unwrap();
    for (kind, with_record) in [("folder", false), ("file", false), ("link", false), ("link", true)] {
        let fixture = Fixture::new(false);
        let downloading = fixture.machine.games_dir().join("g").join(DOWNLOADING_DIR);
        if with_record {
            drop(fixture.fetched());
            fs::remove_dir_all(&downloading).unwrap();
        }
        match kind {
            "folder" => fs::create_dir(&downloading).unwrap(),
            "file" => fs::write(&downloading, "").unwrap(),
            _ => std::os::unix::fs::symlink(outside.path(), &downloading).unwrap(),
        }
        let (games, game) = (&fixture.games, &fixture.game);
        for result in
            [recover(games, game).map(|_| ()), if kind == "folder" { Ok(()) } else { forget(games, game) }]
        {
            let is_skipped = kind == "folder" && result.is_ok();
            assert!(is_skipped || matches!(result, Err(StoreError::Foreign(_))), "{kind}: {result:?}");
        }
        assert!(downloading.symlink_metadata().is_ok(), "{kind} is still there");
    }
    assert!(outside.path().join("precious").exists());
}

#[test]
fn forgetting_removes_partials_and_records_and_nothing_of_the_game_root() {
    for steps in [0, 9] {
        let fixture = Fixture::new(true);
        let mut journal = fixture.fetched();
        (0..steps).for_each(|number| assert!(fixture.step(number, &mut journal)));
        forget(&fixture.games, &fixture.game).unwrap();
        let expected = if steps == 0 { fixture.old() } else { Fixture::expected(&NEW) };
        assert_eq!(fixture.root(), expected);
        fixture.games.remove_empty_state_folders();
        assert!(!fixture.machine.games_dir().join(".lanspread").exists());
    }
}

/// No state leads to an action that could touch what is not ours.
#[test]
fn the_table_is_total_and_touches_only_what_is_ours() {
    let records = [
        None,
        Some(RecordProgress::Fetching),
        Some(RecordProgress::Promoting),
        Some(RecordProgress::Complete),
    ];
    for record in records {
        for downloading in [Standing::Nothing, Standing::Folder, Standing::Other] {
            for all_are_here in [false, true] {
                let action = decide(record, downloading, all_are_here);
                if downloading == Standing::Other {
                    assert!(matches!(action, CommitAction::Report(_)), "never through a link or file");
                }
                if record.is_none() {
                    assert!(
                        matches!(action, CommitAction::Nothing | CommitAction::Report(_)),
                        "no record, no change"
                    );
                }
                if action == CommitAction::Promote {
                    assert_eq!((record, all_are_here), (Some(RecordProgress::Promoting), true));
                }
                if action == CommitAction::Discard {
                    assert_eq!((record, all_are_here), (Some(RecordProgress::Promoting), false));
                }
            }
        }
    }
}

/// A sync that fails after the promotion is recorded: everything has arrived, the error says so, and recovery completes
/// it.
#[test]
fn a_sync_that_fails_after_the_promotion_is_reported_and_completed_by_recovery() {
    for (is_update, syncs) in [(false, 4), (true, 5)] {
        let mut unfinished = 0;
        for at in 1.. {
            let fixture = Fixture::new(is_update);
            let mut journal = fixture.fetched();
            let (games, game) = (&fixture.games, &fixture.game);
            let (done, calls) = script::failing("sync-folder", at, Errno::IO, || {
                begin(games, game, &mut journal)?;
                promote(games, game, &journal.record)?;
                finish(games, game, &mut journal)
            });
            drop(journal);
            let Err(error) = done else { break };
            unfinished += 1;
            let why = format!("sync {at} of {calls:?}");
            assert!(
                error.to_string().contains("is downloaded, but not yet durable: cannot sync"),
                "{why}: {error}"
            );
            recover(games, game).unwrap();
            let state = GameState::read(games.path(), game).unwrap().unwrap();
            assert_eq!(state.version, Some(Fixture::version()), "{why}");
            assert_eq!(recover(games, game).unwrap(), None, "{why}");
        }
        assert_eq!(unfinished, syncs, "update: {is_update}");
    }
}

/// Nothing is promoted before all of it is durable.
#[test]
fn everything_is_durable_before_it_is_promoted() {
    let fixture = Fixture::new(true);
    let mut journal = fixture.fetched();
    let (done, calls) = script::failing("sync-file-system", 1, Errno::IO, || {
        begin(&fixture.games, &fixture.game, &mut journal)
    });
    assert_eq!(done.unwrap_err().code(), "local-io", "{calls:?}");
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(journal.record.progress, RecordProgress::Fetching);
}
