use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lanspread_archive::provider::ProviderChoice;
use lanspread_proto::message::Reply;
use lanspread_trust::manifest::ManifestFile;
use tokio::time::timeout;

use std::time::Duration;

use super::*;
use crate::report::channel::{EventSender, PeerEvents};
use crate::report::event::PeerEvent;
use crate::report::packing_list::MadePackingList;
use crate::source::handed_on;
use crate::source::packing_lists::Queue;
use crate::task::Tasks;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name).canonicalize().unwrap()
}

/// A source of games that are links to fixtures, whose files have been on the disk for a while.
struct Serving {
    games: tempfile::TempDir,
    source: Arc<Source>,
    events: PeerEvents,
}

fn source_of(games: &Path) -> (Arc<Source>, PeerEvents) {
    let events = EventSender::new();
    let heard = events.subscribe();
    let provider = lanspread_archive::provider(&ProviderChoice::Native);
    let source = Source::new(games.to_owned(), None, provider, events, Tasks::default(), 2);
    source.packing_lists.is_followed.store(true, Ordering::Relaxed);
    (Arc::new(source), heard)
}

impl Serving {
    fn new(games: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for game in games {
            let (fixture_name, name) = game.split_once('/').unwrap();
            symlink(fixture(fixture_name).join(name), folder.path().join(name)).unwrap();
        }
        let (source, events) = source_of(folder.path());
        Self { games: folder, source, events }
    }

    /// The same after a restart of the peer.
    fn restarted(self) -> Self {
        let (source, events) = source_of(self.games.path());
        Self { source, events, ..self }
    }

    /// Looks at the library, and makes what can be made now.
    fn look(&self) {
        self.look_until(&CancellationToken::new());
    }

    fn look_until(&self, cancel: &CancellationToken) {
        let before = self.source.library.current();
        self.source.library.replace(self.source.scan_offers().unwrap());
        self.source.packing_lists.offered(&before.offers, &self.source.library.current().offers);
        make_packing_lists::all_that_is_due(&self.source, cancel);
    }

    /// The games whose lists were made since the last call, with the bytes that were read.
    fn made(&mut self) -> Vec<(String, u64)> {
        let events = std::iter::from_fn(|| self.events.try_next());
        let made = events.filter_map(|event| match event {
            PeerEvent::PackingListMade(MadePackingList { game, read_bytes, .. }) => {
                Some((game.to_string(), read_bytes))
            }
            _ => None,
        });
        made.collect()
    }

    fn state(&self, game: &str) -> GameState {
        GameState::read(self.games.path(), &game.parse().unwrap()).unwrap().unwrap()
    }

    fn offer(&self, game: &str) -> ListOffer {
        let state = self.state(game);
        let version = state.version.clone().unwrap();
        self.source.packing_list_offered(&state, &version)
    }

    fn bytes(&self, game: &str) -> u64 {
        self.state(game).root_bytes()
    }

    /// Replaces a link by a copy of what it points to.
    fn copy(&self, game: &str) -> PathBuf {
        let root = self.games.path().join(game);
        let files = self.state(game).root_files;
        let from = std::fs::read_link(&root).unwrap();
        std::fs::remove_file(&root).unwrap();
        std::fs::create_dir(&root).unwrap();
        for file in files {
            std::fs::copy(from.join(&file.name), root.join(&file.name)).unwrap();
        }
        root
    }

    /// As if the files of a game had been seen as they are some seconds ago.
    fn let_settle(&self, game: &str) {
        let state = self.state(game);
        let files = FileStamps::read(&state.root, &state.root_files).unwrap();
        let mut lists = self.source.packing_lists.lock();
        lists.queue = Queue::default();
        lists.young.insert(state.game.clone(), files);
    }

    /// The packing list of this digest, as it is handed on.
    fn packing_list(&self, digest: &ContentDigest) -> Option<ManifestFile> {
        let opened = match self.source.kept_list(digest)? {
            ListBytes::OnDisk(file) => {
                let bytes = file.metadata().ok()?.len();
                ManifestFile::check(file, bytes, Some(digest))
            }
            ListBytes::InMemory(bytes) => ManifestFile::in_memory(&bytes, Some(digest)),
        };
        opened.map_err(|problem| tracing::warn!("a packing list cannot be used: {problem}")).ok()
    }

    fn kept_names(&self) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.games.path().join(".lanspread/packing")) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn each_game_is_read_once_also_over_a_restart() {
    let mut serving = Serving::new(&["fixture-alpha/alpha-racer", "fixture-volumes/volumes-few"]);
    serving.look();
    let expected = ["alpha-racer", "volumes-few"].map(|game| (game.to_owned(), serving.bytes(game)));
    assert_eq!(serving.made(), expected);
    let offered = ["alpha-racer", "volumes-few"].map(|game| serving.offer(game).manifest.unwrap());
    serving.look();
    let mut serving = serving.restarted();
    assert_eq!(serving.offer("alpha-racer").manifest, None, "nothing was looked at yet");
    serving.look();
    assert_eq!(serving.made(), []);
    let again = ["alpha-racer", "volumes-few"].map(|game| serving.offer(game));
    assert_eq!(again, offered.map(|digest| ListOffer { manifest: Some(digest), in_ms: None }));
    // What is handed on is what was named, and about what is served.
    for (game, digest) in ["alpha-racer", "volumes-few"].into_iter().zip(offered) {
        let list = serving.packing_list(&digest).unwrap();
        assert_eq!((list.digest(), list.manifest().game.as_str()), (digest, game));
        assert_eq!(list.manifest().root_files, serving.state(game).root_files);
        let Ok(Reply::Part { total, bytes }) = handed_on::manifest(&serving.source, &digest, 0) else {
            panic!()
        };
        assert_eq!((total, ContentDigest::of(&bytes)), (list.bytes(), digest));
    }
    assert!(handed_on::manifest(&serving.source, &ContentDigest([1; 32]), 0).is_err());
}

#[test]
fn a_game_that_changes_has_no_list_until_it_was_read_again() {
    let mut serving = Serving::new(&["fixture-alpha/alpha-racer"]);
    serving.look();
    let before = serving.offer("alpha-racer").manifest.unwrap();
    serving.made();
    let root = serving.copy("alpha-racer");
    let offer = serving.offer("alpha-racer");
    assert!(offer.manifest.is_none() && offer.in_ms.unwrap() >= 3000, "{offer:?}");
    serving.look();
    assert_eq!(serving.made(), [], "one more change would not show yet");
    serving.let_settle("alpha-racer");
    serving.offer("alpha-racer");
    serving.look();
    assert_eq!(serving.made().len(), 1);
    assert_eq!(serving.offer("alpha-racer").manifest, Some(before), "the same files have the same list");

    let archive = serving.state("alpha-racer").root_files[0].name.clone();
    let mut content = std::fs::read(root.join(&archive)).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(root.join(&archive), content).unwrap();
    assert_eq!(serving.offer("alpha-racer").manifest, None, "other bytes under the same name");
}

#[test]
fn a_game_that_a_peer_asks_about_is_made_first() {
    let mut serving = Serving::new(&[
        "fixture-alpha/alpha-arena",
        "fixture-alpha/alpha-racer",
        "fixture-volumes/volumes-few",
    ]);
    let offer = serving.offer("volumes-few");
    assert!(offer.manifest.is_none() && offer.in_ms.is_some());
    serving.look();
    let order: Vec<String> = serving.made().into_iter().map(|(game, _)| game).collect();
    assert_eq!(order, ["volumes-few", "alpha-arena", "alpha-racer"]);
}

/// A large game is being read for which no peer waits.
#[test]
fn a_game_that_a_peer_asks_about_interrupts_another_one() {
    let mut serving = Serving::new(&["fixture-alpha/alpha-arena", "fixture-volumes/volumes-few"]);
    let root = serving.copy("alpha-arena");
    // What follows the end of an archive is no part of it, and is in the chunks all the same.
    let archive = std::fs::OpenOptions::new().write(true).open(root.join("alpha-arena.eti")).unwrap();
    archive.set_len(200 << 20).unwrap();
    drop(archive);
    serving.let_settle("alpha-arena");
    serving.source.packing_lists.lock().queue.add(&"alpha-arena".parse().unwrap(), 200 << 20, Instant::now());
    std::thread::scope(|scope| {
        let making =
            scope.spawn(|| make_packing_lists::all_that_is_due(&serving.source, &CancellationToken::new()));
        let arena = "alpha-arena".parse().unwrap();
        let has_begun = || {
            let ready = serving.source.packing_lists.lock().queue.ready_in_ms(&arena, Instant::now());
            ready.is_some_and(|ready| ready < 1045)
        };
        while !has_begun() && !making.is_finished() {
            std::thread::yield_now();
        }
        assert!(serving.offer("volumes-few").in_ms.is_some());
    });
    let order: Vec<String> = serving.made().into_iter().map(|(game, _)| game).collect();
    assert_eq!(order, ["volumes-few", "alpha-arena"]);
}

#[test]
fn a_cancelled_peer_stops_in_the_middle_and_leaves_nothing() {
    let mut serving = Serving::new(&["fixture-volumes/volumes-few"]);
    let cancel = CancellationToken::new();
    cancel.cancel();
    serving.look_until(&cancel);
    assert_eq!((serving.made(), serving.kept_names()), (Vec::new(), Vec::new()));
    serving.look();
    assert_eq!(serving.made().len(), 1);
}

#[test]
fn the_list_goes_with_the_game_but_not_with_its_offer() {
    let serving = Serving::new(&["fixture-alpha/alpha-racer", "fixture-volumes/volumes-few"]);
    serving.look();
    assert_eq!(serving.kept_names().len(), 4);
    // An operation keeps the game from being offered for a while.
    let intents = serving.games.path().join(".lanspread/intents");
    std::fs::create_dir(&intents).unwrap();
    std::fs::write(intents.join("volumes-few.json"), "{}").unwrap();
    serving.look();
    assert_eq!(serving.kept_names().len(), 4);
    std::fs::remove_file(serving.games.path().join("volumes-few")).unwrap();
    serving.look();
    serving.look();
    assert_eq!(serving.kept_names(), ["alpha-racer.json", "alpha-racer.lsm"]);
    // It was removed while no peer served.
    std::fs::remove_file(serving.games.path().join("alpha-racer")).unwrap();
    std::fs::remove_dir_all(&intents).unwrap();
    let serving = serving.restarted();
    serving.look();
    assert_eq!(serving.kept_names(), Vec::<String>::new());
    assert!(!serving.games.path().join(".lanspread").exists());
}

/// Something of a user is in the place of our folder: nothing can be kept there.
#[test]
fn a_disk_that_takes_no_list_leaves_it_in_memory() {
    let mut serving = Serving::new(&["fixture-alpha/alpha-racer"]);
    std::fs::write(serving.games.path().join(".lanspread"), "of a user").unwrap();
    serving.look();
    assert_eq!(serving.made().len(), 1);
    let digest = serving.offer("alpha-racer").manifest.unwrap();
    assert_eq!(serving.packing_list(&digest).unwrap().digest(), digest);
    let Ok(Reply::Part { bytes, .. }) = handed_on::manifest(&serving.source, &digest, 0) else { panic!() };
    assert_eq!(ContentDigest::of(&bytes), digest);
    assert_eq!(std::fs::read(serving.games.path().join(".lanspread")).unwrap(), b"of a user");
}

#[test]
fn a_game_that_receivers_would_refuse_has_no_list_and_will_have_none() {
    let mut serving = Serving::new(&["fixture-encrypted/encrypted-data", "fixture-hostile/hostile-case"]);
    serving.look();
    for game in ["encrypted-data", "hostile-case"] {
        assert_eq!(serving.offer(game), ListOffer::default(), "{game}");
    }
    assert_eq!((serving.made(), serving.kept_names()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_serving_peer_follows_its_library_and_stops_with_it() {
    let mut serving = Serving::new(&["fixture-alpha/alpha-racer"]);
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&serving.source).follow_packing_lists(stop.clone()));
    serving.source.library.replace(serving.source.scan_offers().unwrap());
    let heard = async {
        loop {
            match serving.events.next().await {
                Some(PeerEvent::PackingListMade(MadePackingList { game, .. })) => return game,
                Some(_) => {}
                None => panic!("the events have ended"),
            }
        }
    };
    let game = timeout(Duration::from_mins(1), heard).await.unwrap();
    assert_eq!(game.as_str(), "alpha-racer");
    stop.cancel();
    timeout(Duration::from_mins(1), following).await.unwrap().unwrap();
    assert_eq!(serving.source.tasks.stop(Duration::from_mins(1)).await, 0);
    assert_eq!(serving.kept_names().len(), 2);
}
