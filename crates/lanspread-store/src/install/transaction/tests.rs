//! Every operation, killed between any two of its steps and again between any two steps of its recovery.

use std::fs;

use crate::error::StoreError;
use lanspread_archive::provider::EntrySink;
use lanspread_testing::machine::{Node, Tree, scratch, tree};
use lanspread_types::checksum::Checksum;
use lanspread_types::content::{EntryStep, FileEntry};
use lanspread_types::entry_path::EntryPath;
use rustix::io::Errno;

use super::*;
use crate::install::recovery::{plan, recover};
use crate::state::disk_calls::script;
use crate::state::receipt;

pub(super) fn origin(version: &str) -> InstallOrigin {
    InstallOrigin {
        version: version.parse().unwrap(),
        source: "pc".parse().unwrap(),
        source_id: [7; 16].into(),
    }
}

pub(super) struct Fixture {
    pub(super) folder: tempfile::TempDir,
    pub(super) games: Arc<GamesDir>,
    pub(super) game: GameId,
}

pub(super) fn fixture() -> Fixture {
    let folder = scratch();
    let games = Arc::new(GamesDir::open(folder.path()).unwrap());
    Fixture { folder, games, game: "g".parse().unwrap() }
}

impl Fixture {
    pub(super) fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("g")
    }

    pub(super) fn begin(&self, version: &str, replace: bool) -> (Transaction, StagingSink) {
        let begun =
            Transaction::begin(&self.games, &self.game, &origin(version), NamePolicy::Portable, replace);
        begun.unwrap()
    }

    /// A staged tree of one version: a file that every version has, and one of its own.
    pub(super) fn fill(&self, version: &str, replace: bool) -> Transaction {
        let (transaction, mut sink) = self.begin(version, replace);
        for path in ["data/file".to_owned(), format!("only-in-{version}")] {
            let path = EntryPath::parse(&path, NamePolicy::Portable).unwrap();
            let size = version.len() as u64;
            let entry = FileEntry { path, size, checksum: None, modified: None, executable: false };
            sink.take(EntryStep::FileBegin(entry)).unwrap();
            sink.take(EntryStep::Data(version.as_bytes())).unwrap();
            sink.take(EntryStep::FileEnd(Checksum::of(version.as_bytes()))).unwrap();
        }
        sink.complete().unwrap();
        transaction
    }

    pub(super) fn download(&self) {
        fs::create_dir_all(self.root()).unwrap();
        for name in ["a.eti", "b.part1.eti", "version.ini"] {
            fs::write(self.root().join(name), name).unwrap();
        }
    }

    /// Everything except the folders of our own state, which an operation's lock removes.
    pub(super) fn everything(&self) -> Tree {
        let mut everything = tree(self.folder.path());
        everything.retain(|path, node| *node != Node::Folder || !path.starts_with(".lanspread"));
        everything
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.everything()
            .into_iter()
            .filter(|(_, node)| *node != Node::Folder)
            .map(|(path, _)| path)
            .collect()
    }
}

/// `InPlace`: on a file system that cannot rename the installed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Install,
    Update,
    UpdateInPlace,
    Uninstall,
    UninstallInPlace,
    Remove,
}

/// The first half of [`steps::set_aside`] on such a file system.
fn record_in_place(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let intent = intent::read(games, game).unwrap().unwrap();
    intent::write(games, game, &intent.in_place().unwrap())
}

/// The second half, and the rest.
const UPDATE_IN_PLACE: &[DiskStep] = &[
    record_in_place,
    steps::remove_local,
    steps::promote,
    steps::sync_root,
    receipt::publish,
    intent::clear,
];
const UNINSTALL_IN_PLACE: &[DiskStep] = &[
    record_in_place,
    steps::remove_local,
    steps::sync_root,
    receipt::remove,
    steps::remove_empty_root,
    intent::clear,
];

impl Operation {
    pub(super) const ALL: [Self; 6] = [
        Self::Install,
        Self::Update,
        Self::UpdateInPlace,
        Self::Uninstall,
        Self::UninstallInPlace,
        Self::Remove,
    ];

    fn installs(self) -> bool {
        matches!(self, Self::Install | Self::Update | Self::UpdateInPlace)
    }

    /// Runs a test of this operation on the file system that it is for.
    pub(super) fn on_its_disk<T>(self, test: impl FnOnce() -> T) -> T {
        match self {
            Self::UpdateInPlace | Self::UninstallInPlace => {
                script::refusing("rename .local.backup", Errno::XDEV, test).0
            }
            _ => test(),
        }
    }

    /// Creates the state before it.
    pub(super) fn prepare(self, fixture: &Fixture, downloaded: bool) {
        if self == Self::Remove || downloaded {
            fixture.download();
        }
        if !matches!(self, Self::Install | Self::Remove) {
            fixture.fill("1", false).commit().unwrap();
        }
    }

    fn steps(self) -> &'static [DiskStep] {
        match self {
            Self::Install => steps::INSTALL,
            Self::Update => steps::UPDATE,
            Self::UpdateInPlace => UPDATE_IN_PLACE,
            Self::Uninstall => steps::UNINSTALL,
            Self::UninstallInPlace => UNINSTALL_IN_PLACE,
            Self::Remove => steps::REMOVE,
        }
    }

    /// Steps before [`Self::steps`]: staging filled, everything synced, promotion recorded; or the intent.
    fn steps_before(self) -> usize {
        if self.installs() { 3 } else { 1 }
    }

    /// The number of steps after which recovery leads to the new state: the promotion is recorded, or the first step is
    /// done.
    fn is_new_from(self) -> usize {
        if self.installs() { 3 } else { 2 }
    }

    /// Runs its first `count` steps, and no more.
    fn run(self, fixture: &Fixture, count: usize) {
        let before = self.steps_before();
        if count == 0 {
            return;
        }
        match self {
            Self::Install | Self::Update | Self::UpdateInPlace => {
                let transaction = fixture.fill("2", self != Self::Install);
                if count >= 2 {
                    transaction.sync_content().unwrap();
                }
                if count >= 3 {
                    transaction.record_promotion().unwrap();
                }
            }
            Self::Uninstall | Self::UninstallInPlace => {
                intent::write(&fixture.games, &fixture.game, &Intent::new(IntentStep::Uninstall)).unwrap();
            }
            Self::Remove => {
                intent::write(&fixture.games, &fixture.game, &Intent::new(IntentStep::Remove)).unwrap();
            }
        }
        let steps = &self.steps()[..count.saturating_sub(before)];
        steps::run(steps, &fixture.games, &fixture.game).unwrap();
    }

    fn count(self) -> usize {
        self.steps_before() + self.steps().len()
    }

    /// Runs it as an operation does.
    pub(super) fn perform(self, fixture: &Fixture) -> Result<(), LocalError> {
        let (games, game) = (&fixture.games, &fixture.game);
        match self {
            Self::Install | Self::Update | Self::UpdateInPlace => {
                fixture.fill("2", self != Self::Install).commit()
            }
            Self::Uninstall | Self::UninstallInPlace => {
                run_without_return(games, game, IntentStep::Uninstall, steps::UNINSTALL, "uninstalled")
            }
            Self::Remove => run_without_return(games, game, IntentStep::Remove, steps::REMOVE, "removed"),
        }
    }

    /// The state before and after it.
    pub(super) fn states(self, downloaded: bool) -> (Tree, Tree) {
        let fixture = fixture();
        self.prepare(&fixture, downloaded);
        let old = fixture.everything();
        self.run(&fixture, self.count());
        (old, fixture.everything())
    }
}

#[test]
fn a_commit_leaves_the_tree_and_its_receipt_and_nothing_else() {
    let fixture = fixture();
    fixture.fill("1", false).commit().unwrap();
    assert_eq!(fixture.names(), [".lanspread/receipts/g.jsonl", "g/local/data/file", "g/local/only-in-1"]);
    fixture.fill("2", true).commit().unwrap();
    assert_eq!(fixture.names(), [".lanspread/receipts/g.jsonl", "g/local/data/file", "g/local/only-in-2"]);
    assert_eq!(fs::read(fixture.root().join("local/data/file")).unwrap(), b"2");
    let receipt = fs::read_to_string(fixture.folder.path().join(".lanspread/receipts/g.jsonl")).unwrap();
    assert!(receipt.contains("only-in-2") && !receipt.contains("only-in-1"));
}

#[test]
fn uninstall_and_remove_take_their_own_files_and_nothing_else() {
    let fixture = fixture();
    fixture.download();
    fixture.fill("1", false).commit().unwrap();
    fs::write(fixture.root().join("notes.txt"), "mine").unwrap();
    run_without_return(&fixture.games, &fixture.game, IntentStep::Uninstall, steps::UNINSTALL, "uninstalled")
        .unwrap();
    assert_eq!(fixture.names(), ["g/a.eti", "g/b.part1.eti", "g/notes.txt", "g/version.ini"]);
    run_without_return(&fixture.games, &fixture.game, IntentStep::Remove, steps::REMOVE, "removed").unwrap();
    assert_eq!(fixture.names(), ["g/notes.txt"]);
}

#[test]
fn an_empty_game_root_is_removed_with_the_last_of_its_files() {
    for operation in [Operation::Uninstall, Operation::Remove] {
        let (_, new) = operation.states(false);
        assert_eq!(new, Tree::new(), "{operation:?}");
    }
}

#[test]
fn a_roll_back_leaves_the_machine_as_it_was() {
    for (replace, root_was_there) in [(false, false), (false, true), (true, true)] {
        let fixture = fixture();
        if root_was_there {
            fs::create_dir(fixture.root()).unwrap();
            fs::write(fixture.root().join("notes.txt"), "mine").unwrap();
        }
        if replace {
            fixture.fill("1", false).commit().unwrap();
        }
        let before = fixture.everything();
        fixture.fill("2", replace).roll_back().unwrap();
        assert_eq!(fixture.everything(), before);
        assert_eq!(fixture.root().exists(), root_was_there);
    }
}

/// Killed after any number of steps, and in recovery after any number of its steps, an operation leaves the old state
/// or the new one.
#[test]
fn killed_between_any_two_steps_recovery_gives_old_or_new() {
    let mut kills = 0;
    for (operation, downloaded) in Operation::ALL.into_iter().flat_map(|one| [(one, false), (one, true)]) {
        operation.on_its_disk(|| kills += kill_everywhere(operation, downloaded));
    }
    assert!(kills > 150, "{kills}");
}

fn kill_everywhere(operation: Operation, downloaded: bool) -> usize {
    let mut kills = 0;
    let (old, new) = operation.states(downloaded);
    assert_ne!(old, new);
    for count in 0..=operation.count() {
        let expected = if count >= operation.is_new_from() { &new } else { &old };
        for recovered in 0.. {
            let fixture = fixture();
            operation.prepare(&fixture, downloaded);
            operation.run(&fixture, count);
            let planned = plan(&fixture.games, &fixture.game).unwrap();
            let steps = planned.map_or(&[][..], |(_, steps)| steps);
            let killed_at = &steps[..recovered.min(steps.len())];
            steps::run(killed_at, &fixture.games, &fixture.game).unwrap();
            let why = format!("{operation:?} killed after {count} steps, recovery after {recovered}");
            recover(&fixture.games, &fixture.game).unwrap_or_else(|error| panic!("{why}: {error}"));
            assert_eq!(fixture.everything(), *expected, "{why}");
            assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), None, "idempotent: {why}");
            kills += 1;
            if recovered >= steps.len() {
                break;
            }
        }
    }
    kills
}

/// If a removal is interrupted, recovery removes the rest.
#[test]
fn killed_in_the_middle_of_a_removal_recovery_continues() {
    for (operation, count, torn) in [
        (Operation::Install, 1, ".local.installing/data/file"),
        (Operation::Update, 1, ".local.installing/data/file"),
        (Operation::Update, 7, ".local.backup/data/file"),
        (Operation::UpdateInPlace, 4, "local/data/file"),
        (Operation::Uninstall, 4, ".local.backup/data/file"),
        (Operation::UninstallInPlace, 2, "local/data/file"),
        (Operation::Remove, 3, "b.part1.eti"),
    ] {
        operation.on_its_disk(|| {
            let (old, new) = operation.states(true);
            let fixture = fixture();
            operation.prepare(&fixture, true);
            operation.run(&fixture, count);
            fs::remove_file(fixture.root().join(torn)).unwrap();
            recover(&fixture.games, &fixture.game).unwrap();
            let expected = if count >= operation.is_new_from() { new } else { old };
            assert_eq!(fixture.everything(), expected, "{operation:?}");
        });
    }
}

/// If the process is killed while it receives, nothing of the half file is left.
#[test]
fn killed_in_the_middle_of_a_file_recovery_rolls_back() {
    for replace in [false, true] {
        let fixture = fixture();
        if replace {
            fixture.fill("1", false).commit().unwrap();
        }
        let before = fixture.everything();
        let (transaction, mut sink) = fixture.begin("2", replace);
        let path = EntryPath::parse("half", NamePolicy::Portable).unwrap();
        let entry = FileEntry { path, size: 9, checksum: None, modified: None, executable: false };
        sink.take(EntryStep::FileBegin(entry)).unwrap();
        sink.take(EntryStep::Data(b"abc")).unwrap();
        drop((transaction, sink));
        assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), Some("rolled-back"));
        assert_eq!(fixture.everything(), before);
    }
}

/// An update that cannot be promoted leaves the old tree where it was.
#[test]
fn an_update_that_fails_half_way_puts_the_old_tree_back() {
    let fixture = fixture();
    fixture.fill("1", false).commit().unwrap();
    let before = fixture.everything();
    let transaction = fixture.fill("2", true);
    // The second rename has nothing to rename.
    fs::rename(fixture.root().join(STAGING_DIR), fixture.root().join("elsewhere")).unwrap();
    transaction.commit().unwrap_err();
    fs::remove_dir_all(fixture.root().join("elsewhere")).unwrap();
    assert_eq!(fixture.everything(), before);
    assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), None);
}

/// A backup that another program creates while an update runs is neither replaced nor removed.
#[test]
fn a_foreign_backup_stops_an_update_and_is_left_alone() {
    let fixture = fixture();
    fixture.fill("1", false).commit().unwrap();
    let transaction = fixture.fill("2", true);
    fs::create_dir(fixture.root().join(BACKUP_DIR)).unwrap();
    fs::write(fixture.root().join(BACKUP_DIR).join("precious"), "kept").unwrap();
    transaction.commit().unwrap_err();
    let left = ["g/.local.backup/precious", "g/local/data/file", "g/local/only-in-1"];
    assert_eq!(fixture.names()[1..], left);
    let reported = recover(&fixture.games, &fixture.game);
    assert!(matches!(reported, Err(StoreError::Foreign(_))), "{reported:?}");
    assert_eq!(fixture.names()[1..], left);
}

#[test]
fn a_local_folder_created_meanwhile_is_never_replaced() {
    let fixture = fixture();
    let transaction = fixture.fill("1", false);
    fs::create_dir(fixture.root().join("local")).unwrap();
    let error = transaction.commit().unwrap_err();
    assert!(error.to_string().contains("local"), "{error}");
    assert!(fixture.folder.path().join("g/local").is_dir());
    assert_eq!(fixture.names(), [""; 0], "rolled back");
}

#[test]
fn what_is_not_ours_is_reported_and_left_alone() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "kept").unwrap();
    for name in [STAGING_DIR, BACKUP_DIR] {
        for (kind, step) in [
            ("folder", None),
            ("file", None),
            ("link", None),
            ("link", Some(IntentStep::InstallBegin)),
            ("link", Some(IntentStep::UpdatePromote)),
            ("link", Some(IntentStep::Uninstall)),
        ] {
            let fixture = fixture();
            fs::create_dir(fixture.root()).unwrap();
            if let Some(step) = step {
                intent::write(&fixture.games, &fixture.game, &Intent::new(step)).unwrap();
            }
            let foreign = fixture.root().join(name);
            match kind {
                "folder" => fs::create_dir(&foreign).unwrap(),
                "file" => fs::write(&foreign, "").unwrap(),
                _ => std::os::unix::fs::symlink(outside.path(), &foreign).unwrap(),
            }
            let result = recover(&fixture.games, &fixture.game);
            assert!(matches!(result, Err(StoreError::Foreign(_))), "{kind} {name}: {result:?}");
            assert!(foreign.symlink_metadata().is_ok(), "{kind} {name} is still there");
        }
    }
    assert!(outside.path().join("precious").exists());
}

#[test]
fn a_link_planted_at_staging_is_not_removed_through() {
    let fixture = fixture();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "kept").unwrap();
    let (transaction, _sink) = fixture.begin("1", false);
    let staging = fixture.folder.path().join("g").join(STAGING_DIR);
    fs::remove_dir_all(&staging).unwrap();
    std::os::unix::fs::symlink(outside.path(), &staging).unwrap();
    let _ = transaction.roll_back();
    assert!(outside.path().join("precious").exists());
}

/// A link at `local/` is neither set aside nor followed.
#[test]
fn a_link_at_local_is_not_renamed() {
    let fixture = fixture();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(fixture.root()).unwrap();
    std::os::unix::fs::symlink(outside.path(), fixture.root().join(LOCAL_DIR)).unwrap();
    let before = fixture.everything();
    run_without_return(&fixture.games, &fixture.game, IntentStep::Uninstall, steps::UNINSTALL, "uninstalled")
        .unwrap_err();
    assert_eq!(fixture.everything(), before, "and no intent is left");
}
