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
use crate::state::record;
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
            partials::prepare(&self.games, &self.game, &Self::version(), &files, None, &cancel).unwrap();
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
        let result = recover(games, game);
        assert!(matches!(result, Err(StoreError::Foreign(_))), "{kind}: {result:?}");
        assert!(downloading.symlink_metadata().is_ok(), "{kind} is still there");
    }
    assert!(outside.path().join("precious").exists());
}

/// Nothing is renamed before it and the record that explains it are durable, the sentinel comes after everything else is
/// durable, and the record is complete after the sentinel is. A killed process shows none of this, because the page
/// cache survives it.
#[test]
fn a_download_makes_things_durable_in_this_order() {
    let fixture = Fixture::new(true);
    let (games, game) = (&fixture.games, &fixture.game);
    let (journal, begun) = script::watched(|| fixture.fetched());
    drop(journal);
    assert_eq!(begun, ["sync-file g.draft", "sync-folder g.draft"], "the record before the folder");
    let record = Record::read(games, game, RecordKind::Journal).unwrap().unwrap();
    let mut journal = Journal::resume(games, game, record).unwrap();
    let (done, calls) = script::watched(|| {
        begin(games, game, &mut journal)?;
        promote(games, game, &journal.record)?;
        finish(games, game, &mut journal)
    });
    done.unwrap();
    let expected = [
        "sync-file-system games",
        "sync-file g.draft",
        "sync-folder g",
        "rename a.eti",
        "rename b.eti",
        "rename empty.eti",
        "sync-folder g",
        "rename version.ini",
        "sync-folder g",
        "sync-folder games",
        "sync-file g.draft",
        "rename g.jsonl",
        "sync-folder g.draft",
    ];
    assert_eq!(calls, expected);
}

/// The same in recovery, from the record on: everything is durable already.
#[test]
fn recovery_makes_things_durable_in_the_same_order() {
    let fixture = Fixture::new(true);
    let mut journal = fixture.fetched();
    journal.promote().unwrap();
    drop(journal);
    let (done, calls) = script::watched(|| recover(&fixture.games, &fixture.game));
    assert_eq!(done.unwrap(), Some("download-promoted"));
    assert_eq!(calls.first().map(String::as_str), Some("sync-folder g"), "the old sentinel is gone first");
    let at = |call: &str| calls.iter().position(|made| made == call).unwrap_or_else(|| panic!("{call}"));
    assert!(
        at("rename empty.eti") < at("rename version.ini") && at("rename version.ini") < at("rename g.jsonl")
    );
    assert!(calls[at("rename empty.eti")..at("rename version.ini")].contains(&"sync-folder g".to_owned()));
    assert!(calls[at("rename version.ini")..at("rename g.jsonl")].contains(&"sync-folder games".to_owned()));
}

/// Any sync or rename that fails is a fault of the disk, and what it leaves is recovered to the old or the new version.
#[test]
fn a_sync_or_rename_that_fails_is_reported_and_recovered() {
    for at in 1.. {
        let fixture = Fixture::new(true);
        let (games, game) = (&fixture.games, &fixture.game);
        let mut journal = fixture.fetched();
        let (done, calls) = script::failing("", at, Errno::IO, || {
            begin(games, game, &mut journal)?;
            promote(games, game, &journal.record)?;
            finish(games, game, &mut journal)
        });
        if calls.len() < at {
            done.unwrap();
            assert!(at > 13, "{at}");
            break;
        }
        // Once the record says so, everything has arrived, and the error says that too.
        let expected = if at <= 2 { "local-io" } else { "unfinished" };
        assert_eq!(done.unwrap_err().code(), expected, "{at}: {calls:?}");
        fixture.offered();
        drop(journal);
        recover(games, game).unwrap();
        let is_new = fixture.offered().as_deref() == Some("2");
        assert!(is_new || at == 1, "only before the record says so is the old version back: {calls:?}");
    }
}

/// A promotion that fails half way, in recovery too, leaves no sentinel beside archives that are not its own.
#[test]
fn the_old_sentinel_is_gone_before_a_promotion_begins_in_recovery() {
    let fixture = Fixture::new(true);
    let mut journal = fixture.fetched();
    journal.promote().unwrap();
    drop(journal);
    // The first file cannot take its place.
    let in_the_way = fixture.machine.games_dir().join("g/a.eti");
    fs::remove_file(&in_the_way).unwrap();
    fs::create_dir(&in_the_way).unwrap();
    recover(&fixture.games, &fixture.game).unwrap_err();
    assert!(!fixture.machine.games_dir().join("g/version.ini").exists(), "the old version is still offered");
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), Some("download-promoted"));
    assert_eq!(fixture.root(), Fixture::expected(&NEW));
}

/// Whatever the record says, recovery leaves one complete record, and no folder of arriving files beside it.
#[test]
fn every_recorded_progress_is_recovered_to_its_end() {
    for progress in [RecordProgress::Fetching, RecordProgress::Promoting, RecordProgress::Complete] {
        let fixture = Fixture::new(true);
        let (games, game) = (&fixture.games, &fixture.game);
        let mut journal = fixture.fetched();
        if progress >= RecordProgress::Promoting {
            begin(games, game, &mut journal).unwrap();
            promote(games, game, &journal.record).unwrap();
        }
        drop(journal);
        let draft = fixture.machine.games_dir().join(".lanspread/downloads/g.draft");
        if progress == RecordProgress::Complete {
            // Killed between the last line of the journal and its new name.
            let whole = fs::read_to_string(&draft).unwrap();
            fs::write(&draft, whole + "{\"complete\":true}\n").unwrap();
        }
        let record = Record::read(games, game, RecordKind::Journal).unwrap().unwrap();
        assert_eq!(record.progress, progress);
        let expected = match progress {
            RecordProgress::Fetching => None,
            RecordProgress::Promoting => Some("download-promoted"),
            RecordProgress::Complete => Some("download-finished"),
        };
        assert_eq!(recover(games, game).unwrap(), expected);
        let is_over = progress != RecordProgress::Fetching;
        let downloading = fixture.machine.games_dir().join("g").join(DOWNLOADING_DIR);
        assert_eq!((draft.exists(), downloading.exists()), (!is_over, !is_over), "{progress:?}");
        let receipt = Record::read(games, game, RecordKind::Receipt).unwrap();
        assert_eq!(receipt.map(|receipt| receipt.progress), is_over.then_some(RecordProgress::Complete));
        assert_eq!(fixture.offered().as_deref(), Some(if is_over { "2" } else { "1" }));
    }
}

/// Only a file with the recorded length is one of the download: neither a pipe, whose length is 0, nor a shorter file.
#[test]
fn a_promotion_with_something_else_in_the_place_of_a_file_is_discarded() {
    for (name, other) in [
        ("empty.eti", (|path| mkfifo(path)) as fn(&std::path::Path)),
        ("b.eti", |path| fs::write(path, "n").unwrap()),
        ("empty.eti", |path| fs::create_dir(path).unwrap()),
    ] {
        let fixture = Fixture::new(false);
        let mut journal = fixture.fetched();
        begin(&fixture.games, &fixture.game, &mut journal).unwrap();
        drop(journal);
        let path = fixture.machine.games_dir().join("g/.downloading").join(name);
        fs::remove_file(&path).unwrap();
        other(&path);
        assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), Some("download-discarded"), "{name}");
        assert_eq!(fixture.root(), fixture.old(), "{name}");
    }
}

fn mkfifo(path: &std::path::Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
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
