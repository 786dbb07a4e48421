//! Trees and downloaded files that were damaged in every way, repaired, and killed between any two steps of that.

mod downloads;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use lanspread_archive::provider::ProviderChoice;
use lanspread_testing::machine::{Machine, Node, Tree, tree};
use lanspread_testing::{manifests, small_game};
use lanspread_types::content::{ArchiveSummary, Totals};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::ids::{GameVersion, PeerId};

use super::*;
use crate::install::replace::Replace;
use crate::install::transaction::Transaction;
use crate::install::unpack::{Unpack, UnpackObserver};
use crate::install::{recovery, steps};
use crate::share::SharedTree;
use crate::verify::comparison::compare;
use crate::verify::parts;

/// Collects the differences; ignores everything else.
#[derive(Default)]
pub(super) struct Seen(Vec<(String, Problem)>);

impl VerifyObserver for Seen {
    fn progress(&mut self, _: u64, _: u64) {}

    fn difference(&mut self, Difference { path, problem, .. }: Difference) {
        self.0.push((path, problem));
    }
}

struct Unheard;

impl UnpackObserver for Unheard {
    fn begun(&mut self, _: &GameVersion, _: Totals, _: bool) {}
    fn archive(&mut self, _: &ArchiveSummary) {}
    fn progress(&mut self, _: u64, _: u64) {}
}

const SAVE: &str = "saves/mine.sav";

/// A game that was installed from its archive, and then damaged.
struct Fixture {
    machine: Machine,
    games: Arc<GamesDir>,
    game: GameId,
    manifest: Option<Arc<ManifestFile>>,
}

impl Fixture {
    /// With a manifest, or with nothing but the receipt.
    fn new(is_listed: bool) -> Self {
        let machine = Machine::new();
        small_game::download(&machine.games_dir());
        let (game, version) = (small_game::game(), small_game::version());
        let root = machine.games_dir().join("small");
        let (whole, folders) = (small_game::tree(), [small_game::EMPTY_FOLDER]);
        let manifest =
            is_listed.then(|| manifests::of_archives(&root, &game, &version, Some(&whole), &folders));
        let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
        let install = Unpack {
            games: Arc::clone(&games),
            game: game.clone(),
            policy: NamePolicy::Portable,
            replace: Replace { allowed: false, force: false, over_verified: false },
            manifest: manifest.clone(),
            name: "here".parse().unwrap(),
            id: PeerId::random().unwrap(),
            provider: lanspread_archive::provider(&ProviderChoice::Native),
            cancel: CancellationToken::new(),
        };
        crate::install::unpack::unpack(&install, Unheard).unwrap();
        Self { machine, games, game, manifest }
    }

    fn local(&self) -> std::path::PathBuf {
        self.machine.games_dir().join("small/local")
    }

    /// One file is gone, one changed and grew, and the user has added one.
    fn damage(&self) {
        fs::write(self.local().join(SAVE), "mine").unwrap();
        fs::write(self.local().join(small_game::FIRST_FILE), "something else").unwrap();
        fs::remove_file(self.local().join(small_game::LAST_FILE)).unwrap();
    }

    fn examine(&self) -> (Findings, Seen) {
        let mut seen = Seen::default();
        let manifest = self.manifest.as_ref();
        let found =
            examine(&self.games, &self.game, manifest, Recording::On, &mut seen, &CancellationToken::new());
        (found.unwrap(), seen)
    }

    fn unpack(&self, repair: &Arc<TreeRepair>) -> Result<Totals, StoreError> {
        let archives = GameState::read(self.games.path(), &self.game).unwrap().unwrap().archives().unwrap();
        let repair = UnpackRepair {
            games: Arc::clone(&self.games),
            game: self.game.clone(),
            repair: Arc::clone(repair),
            archives,
            provider: lanspread_archive::provider(&ProviderChoice::Native),
            cancel: CancellationToken::new(),
        };
        unpack(&repair, |_, _| {})
    }

    fn differences(&self) -> Vec<(String, Problem)> {
        let mut seen = Seen::default();
        let parts = parts(&self.games, &self.game, self.manifest.as_ref()).unwrap();
        compare(&parts, &mut seen, &CancellationToken::new()).unwrap();
        seen.0.retain(|(_, problem)| *problem != Problem::Added);
        seen.0
    }

    /// The whole tree, with what the user added.
    fn whole() -> Tree {
        let mut whole = small_game::tree();
        whole.insert(SAVE.to_owned(), Node::File(b"mine".to_vec(), false));
        whole
    }

    fn state(&self) -> Tree {
        let mut everything = self.machine.everything();
        everything.retain(|path, node| *node != Node::Folder || !path.starts_with(".lanspread"));
        everything
    }
}

#[test]
fn what_differs_is_replaced_and_nothing_else_is_touched() {
    for is_listed in [false, true] {
        let fixture = Fixture::new(is_listed);
        fixture.damage();
        let kept = fixture.local().join(small_game::COPY);
        let before = fs::metadata(&kept).unwrap();
        let (found, seen) = fixture.examine();
        assert!(found.root.is_none());
        let repair = found.tree.unwrap();
        let named: Vec<&str> = seen.0.iter().map(|(path, _)| path.as_str()).collect();
        assert!(named.contains(&small_game::FIRST_FILE) && named.contains(&SAVE), "{named:?}");
        let bytes = small_game::FIRST_CONTENT.len() + small_game::LAST_CONTENT.len();
        assert_eq!(repair.staged(), Totals { files: 2, directories: 0, bytes: bytes as u64 });
        assert_eq!(fixture.unpack(&repair).unwrap(), repair.staged());
        assert_eq!(tree(&fixture.local()), Fixture::whole(), "listed: {is_listed}");
        assert_eq!(fixture.differences(), []);
        let after = fs::metadata(&kept).unwrap();
        let stamp = |of: &fs::Metadata| (of.ino(), of.mtime_nsec(), of.ctime(), of.ctime_nsec());
        assert_eq!(stamp(&after), stamp(&before), "what is whole is not written");
        let (found, _) = fixture.examine();
        assert!(found.tree.is_none(), "nothing is left to repair");
        if let Some(manifest) = &fixture.manifest {
            let shared = SharedTree::open(fixture.games.path(), &fixture.game, Arc::clone(manifest)).unwrap();
            shared.check(&CancellationToken::new()).unwrap();
        }
    }
}

/// Of an executable that has lost its bit nothing is fetched, a folder is made, and a file that is not in the manifest goes.
#[test]
fn what_needs_no_content_needs_no_source() {
    let fixture = Fixture::new(true);
    let run = fixture.local().join(small_game::LAST_FILE);
    fs::set_permissions(&run, fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_dir(fixture.local().join(small_game::EMPTY_FOLDER)).unwrap();
    let (found, _) = fixture.examine();
    let repair = found.tree.unwrap();
    assert!(!repair.needs_source());
    assert_eq!(repair.entries(), 2);
    fs::remove_file(fixture.machine.games_dir().join("small/small.eti")).unwrap();
    fixture.unpack(&repair).unwrap();
    assert_eq!(tree(&fixture.local()), small_game::tree());
}

/// The archive has other bytes than the receipt says: it does not bring them in.
#[test]
fn content_that_was_not_installed_is_refused() {
    let fixture = Fixture::new(false);
    fixture.damage();
    let (found, _) = fixture.examine();
    fs::remove_file(fixture.machine.games_dir().join("small/small.eti")).unwrap();
    let other = Machine::new();
    small_game::download_other(&other.games_dir());
    let archive = "small/small.eti";
    fs::copy(other.games_dir().join(archive), fixture.machine.games_dir().join(archive)).unwrap();
    let before = fixture.state();
    let error = fixture.unpack(&found.tree.unwrap()).unwrap_err();
    assert!(error.to_string().contains("not what was installed"), "{error}");
    assert_eq!(fixture.state(), before);
}

#[test]
fn what_stands_in_the_way_is_named_before_anything_is_done() {
    let fixture = Fixture::new(false);
    fs::remove_dir_all(fixture.local().join("data")).unwrap();
    fs::write(fixture.local().join("data"), "mine").unwrap();
    fs::remove_file(fixture.local().join(small_game::LAST_FILE)).unwrap();
    fs::create_dir(fixture.local().join(small_game::LAST_FILE)).unwrap();
    let (found, _) = fixture.examine();
    let refused = refuse_obstacles(&fixture.games, &fixture.game, &found.tree.unwrap());
    match refused {
        Err(StoreError::InTheWay { count: 2, files, .. }) => assert_eq!(files, ["data", "run.sh"]),
        other => panic!("{other:?}"),
    }
}

/// Runs a repair up to `count` steps: staged, synced, promotion recorded, and then its disk steps.
fn run(fixture: &Fixture, count: usize) {
    let (found, _) = fixture.examine();
    let repair = found.tree.unwrap();
    if count == 0 {
        return;
    }
    let begun = Transaction::begin_repair(&fixture.games, &fixture.game, &repair, NamePolicy::Native);
    let (transaction, mut sink) = begun.unwrap();
    fill(fixture, &repair, &mut sink);
    sink.complete().unwrap();
    if count >= 2 {
        transaction.stop_before_promotion(count >= 3);
    }
    let done = count.saturating_sub(3);
    steps::run(&steps::REPAIR[..done.min(steps::REPAIR.len())], &fixture.games, &fixture.game).unwrap();
}

fn fill(fixture: &Fixture, repair: &Arc<TreeRepair>, sink: &mut crate::install::staging::StagingSink) {
    use lanspread_archive::provider::EntrySink;
    use lanspread_types::checksum::Checksum;
    use lanspread_types::content::{EntryStep, FileEntry};
    use lanspread_types::entry_path::EntryPath;
    for (path, node) in small_game::tree() {
        let Node::File(content, executable) = node else { continue };
        let path = EntryPath::parse(&path, NamePolicy::Portable).unwrap();
        let size = content.len() as u64;
        let entry = FileEntry { path, size, checksum: None, modified: None, executable };
        sink.take(EntryStep::FileBegin(entry)).unwrap();
        sink.take(EntryStep::Data(&content)).unwrap();
        sink.take(EntryStep::FileEnd(Checksum::of(&content))).unwrap();
    }
    sink.stage_own().unwrap();
    sink.make_folders().unwrap();
    assert!(sink.missing().is_none(), "{}: {repair:?}", fixture.game);
}

#[test]
fn killed_between_any_two_steps_recovery_gives_the_damaged_tree_or_the_whole_one() {
    let mut kills = 0;
    for is_listed in [false, true] {
        for count in 0..=3 + steps::REPAIR.len() {
            for recovered in 0..=steps::REPAIR.len() {
                let fixture = Fixture::new(is_listed);
                fixture.damage();
                let damaged = fixture.state();
                run(&fixture, count);
                let planned = recovery::plan(&fixture.games, &fixture.game).unwrap();
                let planned = planned.map_or(&[][..], |(_, steps)| steps);
                if recovered > planned.len() {
                    break;
                }
                steps::run(&planned[..recovered], &fixture.games, &fixture.game).unwrap();
                let why =
                    format!("listed {is_listed}: killed after {count} steps, recovery after {recovered}");
                recovery::recover(&fixture.games, &fixture.game)
                    .unwrap_or_else(|error| panic!("{why}: {error}"));
                if count >= 3 {
                    assert_eq!(tree(&fixture.local()), Fixture::whole(), "{why}");
                    assert_eq!(fixture.differences(), [], "{why}");
                } else {
                    assert_eq!(fixture.state(), damaged, "{why}");
                }
                if let (Some(manifest), true) = (&fixture.manifest, count >= 3) {
                    let (path, manifest) = (fixture.games.path(), Arc::clone(manifest));
                    let shared = SharedTree::open(path, &fixture.game, manifest).unwrap();
                    shared.check(&CancellationToken::new()).unwrap_or_else(|error| panic!("{why}: {error}"));
                }
                assert_eq!(recovery::recover(&fixture.games, &fixture.game).unwrap(), None, "{why}");
                kills += 1;
            }
        }
    }
    assert!(kills > 80, "{kills}");
}

/// Some of the files are in their places.
#[test]
fn killed_in_the_middle_of_placing_recovery_places_the_rest() {
    let fixture = Fixture::new(true);
    fixture.damage();
    run(&fixture, 3);
    let staging = fixture.machine.games_dir().join("small/.local.installing");
    fs::rename(staging.join(small_game::LAST_FILE), fixture.local().join(small_game::LAST_FILE)).unwrap();
    assert_eq!(recovery::recover(&fixture.games, &fixture.game).unwrap(), Some("repaired"));
    assert_eq!(tree(&fixture.local()), Fixture::whole());
    assert_eq!(fixture.differences(), []);
    let manifest = fixture.manifest.clone().unwrap();
    let shared = SharedTree::open(fixture.games.path(), &fixture.game, manifest).unwrap();
    shared.check(&CancellationToken::new()).unwrap();
}

/// A tree that the user removed meanwhile does not come back in parts.
#[test]
fn nothing_is_placed_in_a_tree_that_is_gone() {
    let fixture = Fixture::new(true);
    fixture.damage();
    run(&fixture, 3);
    fs::remove_dir_all(fixture.local()).unwrap();
    assert_eq!(recovery::recover(&fixture.games, &fixture.game).unwrap(), Some("rolled-back"));
    assert!(
        !fixture.local().exists() && !fixture.machine.games_dir().join("small/.local.installing").exists()
    );
}
