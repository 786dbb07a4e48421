use std::fs;

use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::intent;
use lanspread_store::state::intent::{Intent, IntentStep};
use lanspread_store::state::lock::GameLock;
use lanspread_testing::machine::Machine;

use lanspread_types::ids::GameId;

use super::*;
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::passed_over::PassedOverFolder;
use crate::source::library_index::Library;
use crate::task::Tasks;

#[test]
fn only_what_can_change_an_offer_is_read_again() {
    let at = |path: &str| touched(Path::new("/games"), &["/etc/catalog.toml".into()], Path::new(path));
    let game = |id: &str| Touched::Folder(id.to_owned());
    for (path, expected) in [
        ("/games", Touched::Everything),
        ("/games/.lanspread", Touched::Everything),
        ("/games/.lanspread/intents", Touched::Everything),
        ("/games/.lanspread/intents/g.json", game("g")),
        ("/games/.lanspread/intents/g.json.new", Touched::Nothing),
        ("/games/.lanspread/locks/g.lock", Touched::Nothing),
        ("/games/g", game("g")),
        ("/games/no game", game("no game")),
        ("/games/no game/a.eti", game("no game")),
        ("/games/.lanspread.remove.g", game("g")),
        ("/games/g/Version.ini", game("g")),
        ("/games/g/version.ini", game("g")),
        ("/games/g/data.ETI", game("g")),
        ("/games/g/notes.txt", Touched::Nothing),
        ("/games/g/local", Touched::Nothing),
        ("/games/g/.local.installing", Touched::Nothing),
        ("/games/g/local/version.ini", Touched::Nothing),
        ("/elsewhere/g", Touched::Nothing),
    ] {
        assert_eq!(at(path), expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_game_is_read_soon_after_its_last_change_and_regularly_while_it_changes() {
    let seen = Seen::default();
    let begun = Instant::now();
    seen.add(Touched::Folder("g".to_owned()));
    seen.settled().await;
    assert_eq!(begun.elapsed().as_millis(), limits::LIBRARY_QUIET.as_millis());
    assert_eq!(seen.take().folders.len(), 1);
    let writing = async {
        loop {
            seen.add(Touched::Folder("g".to_owned()));
            sleep(limits::LIBRARY_QUIET / 2).await;
        }
    };
    let begun = Instant::now();
    tokio::select! {
        () = writing => unreachable!(),
        () = seen.settled() => {}
    }
    assert_eq!(begun.elapsed().as_millis(), limits::LIBRARY_RESTLESS_INTERVAL.as_millis());
}

#[test]
fn pending_folders_are_bounded() {
    let seen = Seen::default();
    for index in 0..=limits::GAMES_MAX {
        seen.add(Touched::Folder(format!("g{index}")));
    }
    let pending = seen.take();
    assert!(pending.everything && pending.folders.len() == limits::GAMES_MAX);
}

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

/// A games directory on disk whose library is followed.
struct Followed {
    machine: Machine,
    source: Arc<Source>,
    index: tokio::sync::watch::Receiver<Arc<Library>>,
}

impl Followed {
    fn new(machine: Machine) -> Self {
        let provider = lanspread_archive::provider(&crate::ProviderChoice::Native);
        let (events, tasks) = (EventSender::new(), Tasks::default());
        let source = Arc::new(Source::new(machine.games_dir(), None, provider, events, tasks, 1));
        let index = source.library.follow();
        Self { machine, source, index }
    }

    fn follow(&self) {
        let mut watcher = LibraryWatcher::begin(Arc::clone(&self.source)).unwrap();
        watcher.publish();
        self.source.tasks.spawn("library", watcher.follow(self.source.tasks.cancel_token()));
    }

    fn root(&self, game: &str) -> PathBuf {
        self.machine.games_dir().join(game)
    }

    fn add(&self, game: &str) {
        fs::create_dir_all(self.root(game)).unwrap();
        fs::write(self.root(game).join("a.eti"), "1").unwrap();
        fs::write(self.root(game).join("version.ini"), "1").unwrap();
    }

    async fn until(&mut self, games: &[&str]) -> u64 {
        let is = |library: &Arc<Library>| {
            library.is_read() && library.offers.keys().map(GameId::as_str).eq(games.iter().copied())
        };
        let found = timeout(DEADLINE, self.index.wait_for(is))
            .await
            .expect("the library offers these games")
            .unwrap();
        found.revision
    }

    async fn stop(self) {
        assert_eq!(self.source.tasks.stop(DEADLINE).await, 0);
    }
}

#[tokio::test]
async fn what_is_added_changed_and_removed_on_disk_is_noticed() {
    let mut followed = Followed::new(Machine::new());
    followed.add("old");
    followed.follow();
    assert_eq!(followed.until(&["old"]).await, 1);
    followed.add("new");
    followed.until(&["new", "old"]).await;
    fs::write(followed.root("new").join("b.eti"), "123").unwrap();
    let grown = |library: &Arc<Library>| library.list()[0].bytes == 5;
    timeout(DEADLINE, followed.index.wait_for(grown)).await.expect("the size is noticed").unwrap();
    fs::remove_file(followed.root("old").join("version.ini")).unwrap();
    followed.until(&["new"]).await;
    fs::rename(followed.root("new"), followed.root("named")).unwrap();
    followed.until(&["named"]).await;
    fs::remove_dir_all(followed.root("named")).unwrap();
    followed.until(&[]).await;
    followed.add("named");
    followed.until(&["named"]).await;
    followed.stop().await;
}

/// While an operation holds a game, the game is not offered, although our folder of intents is created and removed.
#[tokio::test]
async fn a_game_is_not_offered_while_an_intent_is_recorded() {
    let mut followed = Followed::new(Machine::new());
    followed.add("g");
    followed.follow();
    followed.until(&["g"]).await;
    for _ in 0..2 {
        let games = Arc::new(GamesDir::open(&followed.machine.games_dir()).unwrap());
        let game: GameId = "g".parse().unwrap();
        let lock = GameLock::acquire(&games, &game).unwrap();
        let begun = Intent::new(IntentStep::InstallBegin);
        intent::write(&games, &game, &begun).unwrap();
        followed.until(&[]).await;
        intent::clear(&games, &game).unwrap();
        drop(lock);
        followed.until(&["g"]).await;
    }
    followed.stop().await;
}

/// Without any watch, the slow scan notices changes and recovers what a crashed operation left. The test does not wait
/// for time to pass: it runs the scan as the loop does.
#[test]
fn a_slow_scan_finds_everything_and_recovers() {
    let followed = Followed::new(Machine::new());
    followed.add("g");
    let games_dir = followed.machine.games_dir();
    let mut watches =
        Watches { watcher: None, games_dir: games_dir.clone(), catalogs: Vec::new(), complained: true };
    read(&followed.source, &mut watches, Pending::default(), false);
    let all = || Pending { everything: true, folders: BTreeSet::new() };
    read(&followed.source, &mut watches, all(), false);
    assert_eq!(followed.source.library.current().offers.len(), 1);
    let games = Arc::new(GamesDir::open(&games_dir).unwrap());
    let game: GameId = "g".parse().unwrap();
    let begun = Intent::new(IntentStep::InstallBegin);
    intent::write(&games, &game, &begun).unwrap();
    let lock = GameLock::acquire(&games, &game).unwrap();
    read(&followed.source, &mut watches, all(), true);
    assert!(
        followed.source.library.current().offers.is_empty(),
        "an operation holds the game, so the scan leaves it alone"
    );
    assert!(intent::is_recorded(&games_dir, &game));
    drop(lock);
    read(&followed.source, &mut watches, all(), true);
    assert!(!intent::is_recorded(&games_dir, &game), "no operation holds the game: it is rolled back");
    assert_eq!(followed.source.library.current().offers.len(), 1);
}

#[tokio::test]
async fn reading_the_library_does_not_count_as_a_change() {
    let followed = Followed::new(Machine::new());
    followed.add("g");
    let seen = Arc::new(Seen::default());
    let (mut watches, ended) = Watches::begin(&followed.machine.games_dir(), &[], Arc::clone(&seen));
    read_everything(&followed.source, &mut watches).unwrap();
    // The watcher reports in order: when this change arrives, every earlier one has arrived.
    fs::create_dir(followed.root("last")).unwrap();
    timeout(DEADLINE, seen.woken.notified()).await.unwrap();
    let pending = seen.take();
    assert!(!pending.everything);
    assert_eq!(pending.folders.iter().collect::<Vec<_>>(), ["last"]);
    drop(watches);
    assert!(timeout(DEADLINE, ended).await.is_ok(), "the thread ends with its owner");
}

/// A pipe under the name of a sentinel, a title as the name of a folder: each is reported once and hides nothing else.
#[tokio::test]
async fn a_folder_that_is_passed_over_is_reported_once_and_the_rest_is_served() {
    let mut followed = Followed::new(Machine::new());
    let mut events = followed.source.events.subscribe();
    followed.add("first");
    fs::create_dir(followed.root("evil")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let pipe = followed.root("evil").join("version.ini");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    followed.follow();
    followed.until(&["first"]).await;
    followed.add("Age of Empires II");
    followed.add("second");
    followed.until(&["first", "second"]).await;
    // Renamed as suggested, it is served.
    fs::rename(followed.root("Age of Empires II"), followed.root("Age-of-Empires-II")).unwrap();
    followed.until(&["Age-of-Empires-II", "first", "second"]).await;
    followed.stop().await;
    let mut reported = Vec::new();
    while let Some(event) = events.try_next() {
        if let PeerEvent::FolderPassedOver(PassedOverFolder { folder, code, .. }) = event {
            reported.push((folder, code));
        }
    }
    assert_eq!(
        reported.iter().map(|(folder, code)| (folder.as_str(), code.as_ref())).collect::<Vec<_>>(),
        [("evil", "sentinel-unusable"), ("Age of Empires II", "folder-name")]
    );
}

/// A copy that runs has archives before its sentinel. It is reported if it is so when everything is read.
#[test]
fn a_missing_sentinel_is_reported_by_a_scan_and_not_while_a_game_is_copied() {
    let followed = Followed::new(Machine::new());
    let mut events = followed.source.events.subscribe();
    let mut watches = Watches {
        watcher: None,
        games_dir: followed.machine.games_dir(),
        catalogs: Vec::new(),
        complained: true,
    };
    fs::create_dir(followed.root("g")).unwrap();
    fs::write(followed.root("g").join("a.eti"), "1").unwrap();
    let one = || Pending { everything: false, folders: BTreeSet::from(["g".to_owned()]) };
    let all = || Pending { everything: true, folders: BTreeSet::new() };
    let mut passed_over = |pending| {
        read(&followed.source, &mut watches, pending, false);
        let mut count = 0;
        while let Some(event) = events.try_next() {
            count += usize::from(matches!(event, PeerEvent::FolderPassedOver(_)));
        }
        count
    };
    assert_eq!(passed_over(one()), 0);
    assert_eq!(passed_over(all()), 1);
    assert_eq!(passed_over(all()), 0, "once");
    assert_eq!(passed_over(one()), 0);
    assert_eq!(passed_over(all()), 1, "it was touched since, so it is worth another report");
}
