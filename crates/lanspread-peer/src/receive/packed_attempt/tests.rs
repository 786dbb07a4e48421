//! Attempts whose bytes come from a window in memory, as those of a packed stream do.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

use lanspread_archive::provider::ProviderChoice;
use lanspread_proto::WireError;
use lanspread_store::install::replace::Replace;
use lanspread_store::install::unpack::{Unpack, UnpackObserver, unpack};
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::lock::GameLock;
use lanspread_testing::machine::{Machine, Node, Tree, tree};
use lanspread_testing::{manifests, small_game};
use lanspread_types::checksum::Checksum;
use lanspread_types::content::ArchiveSummary;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerId};

use super::*;
use crate::locked_game::LockedGame;
use crate::receive::patience::Patience;
use crate::report::channel::{EventSender, PeerEvents};
use crate::report::event::PeerEvent;
use crate::report::operation::Wait;
use crate::task::Tasks;
use crate::testing::endpoint;

/// Bytes that arrive in their order, and wake a reader.
struct Window {
    volumes: Vec<Vec<u8>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes of the stream that are here.
    here: u64,
    is_closed: bool,
    /// Bytes of the stream that were read, or left out.
    read: u64,
}

impl Window {
    fn new(volumes: Vec<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self { volumes, state: Mutex::default(), changed: Condvar::new() })
    }

    fn size(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.len() as u64).sum()
    }

    fn arrive(&self, bytes: u64) {
        self.state.lock().unwrap().here += bytes;
        self.changed.notify_all();
    }

    /// Waits until the reader waits for what comes after so many bytes.
    fn drained(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap();
        while state.read < bytes && !state.is_closed {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn is_closed(&self) -> bool {
        self.state.lock().unwrap().is_closed
    }
}

impl PackedBytes for Window {
    fn read_at(&self, volume: usize, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let before: u64 = self.volumes[..volume].iter().map(|volume| volume.len() as u64).sum();
        let mut state = self.state.lock().unwrap();
        assert!(before + offset >= state.read, "not forward");
        state.read = before + offset;
        self.changed.notify_all();
        while !state.is_closed && state.here <= state.read {
            state = self.changed.wait(state).unwrap();
        }
        if state.is_closed {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let here = usize::try_from(state.here - state.read).unwrap();
        let bytes = &self.volumes[volume][usize::try_from(offset).unwrap()..];
        let count = (&bytes[..bytes.len().min(here)]).read(out)?;
        state.read += count as u64;
        Ok(count)
    }

    fn close(&self) {
        self.state.lock().unwrap().is_closed = true;
        self.changed.notify_all();
    }
}

/// A downloaded game on the machine of a source.
struct Game {
    machine: Machine,
    id: GameId,
    version: GameVersion,
}

impl Game {
    fn small() -> Self {
        let machine = Machine::new();
        small_game::download(&machine.games_dir());
        Self { machine, id: small_game::game(), version: small_game::version() }
    }

    fn fixture(name: &str) -> Self {
        let machine = Machine::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
        let game: GameId = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let root = machine.games_dir().join(game.as_str());
        fs::create_dir(&root).unwrap();
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), root.join(file.file_name())).unwrap();
        }
        let version = GameState::read(&machine.games_dir(), &game).unwrap().unwrap().version.unwrap();
        Self { machine, id: game, version }
    }

    fn root(&self) -> PathBuf {
        self.machine.games_dir().join(self.id.as_str())
    }

    /// One that only peers vouch for: it lists no entries.
    fn manifest(&self) -> Arc<ManifestFile> {
        manifests::of_archives(&self.root(), &self.id, &self.version, None, &[])
    }

    /// The manifest of the organiser, who has seen this tree.
    fn listing(&self, tree: &Tree, folders: &[&str]) -> Arc<ManifestFile> {
        manifests::of_archives(&self.root(), &self.id, &self.version, Some(tree), folders)
    }

    fn window(&self) -> Arc<Window> {
        let state = GameState::read(&self.machine.games_dir(), &self.id).unwrap().unwrap();
        let paths = state.archives().unwrap().into_iter().flat_map(|set| set.paths().collect::<Vec<_>>());
        Window::new(paths.map(|path| fs::read(path).unwrap()).collect())
    }

    /// The tree that the archives give where they are.
    fn unpacked(&self) -> Tree {
        struct Unheard;
        impl UnpackObserver for Unheard {
            fn begun(&mut self, _: &GameVersion, _: Totals, _: bool) {}
            fn archive(&mut self, _: &ArchiveSummary) {}
            fn progress(&mut self, _: u64, _: u64) {}
        }
        let install = Unpack {
            games: Arc::new(GamesDir::open(&self.machine.games_dir()).unwrap()),
            game: self.id.clone(),
            policy: NamePolicy::Portable,
            replace: Replace { allowed: false, force: false, over_verified: false },
            manifest: None,
            name: "here".parse().unwrap(),
            id: PeerId::random().unwrap(),
            provider: lanspread_archive::provider(&ProviderChoice::Native),
            cancel: CancellationToken::new(),
        };
        unpack(&install, Unheard).unwrap();
        tree(&self.root().join("local"))
    }
}

/// A machine that has nothing.
struct Receiver {
    machine: Machine,
    tasks: Tasks,
    heard: PeerEvents,
    context: Option<AttemptContext>,
    cancel: CancellationToken,
}

impl Receiver {
    fn new(game: &Game) -> Self {
        let (machine, tasks, cancel) = (Machine::new(), Tasks::default(), CancellationToken::new());
        let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
        let lock = GameLock::acquire(&games, &game.id).unwrap();
        let events = EventSender::new();
        let heard = events.subscribe();
        let context = AttemptContext {
            locked: LockedGame::new(games, game.id.clone(), lock, tasks.clone(), cancel.clone()),
            version: game.version.clone(),
            policy: NamePolicy::Portable,
            manifest: None,
            replaces: false,
            force: false,
            repair: None,
            ours: endpoint("receiver"),
            idle_timeout: limits::STREAM_IDLE_DEADLINE,
            patience: Patience::new(Wait::Always),
            downlink: Arc::<crate::traffic::Traffic>::default().downlink(),
            dictionary_bytes_max: limits::DICTIONARY_BYTES_DEFAULT,
            events,
            cancel: cancel.clone(),
        };
        Self { machine, tasks, heard, context: Some(context), cancel }
    }

    fn trusting(game: &Game, manifest: Arc<ManifestFile>) -> Self {
        let mut receiver = Self::new(game);
        receiver.context.as_mut().unwrap().manifest = Some(manifest);
        receiver
    }

    async fn attempt(
        &mut self,
        manifest: Arc<ManifestFile>,
        window: &Arc<Window>,
        feeding: impl Future<Output = Result<(), AttemptError>> + Send,
    ) -> Result<Totals, AttemptError> {
        let context = self.context.take().unwrap();
        let bytes = Arc::clone(window) as Arc<dyn PackedBytes>;
        packed_attempt(&context, &offer(&context), manifest, bytes, feeding).await
    }

    /// Everything has arrived before it begins.
    async fn install(
        &mut self,
        manifest: Arc<ManifestFile>,
        window: &Arc<Window>,
    ) -> Result<Totals, AttemptError> {
        window.arrive(window.size());
        self.attempt(manifest, window, async { Ok(()) }).await
    }

    fn tree(&self, game: &Game) -> Tree {
        tree(&self.machine.games_dir().join(game.id.as_str()).join("local"))
    }

    fn assert_nothing_is_left(&self, why: &str) {
        assert_eq!(self.machine.everything(), Tree::new(), "{why}");
        assert_eq!(self.tasks.running(), 0, "{why}");
    }
}

fn offer(context: &AttemptContext) -> PeerOffer {
    PeerOffer {
        name: "source".parse().unwrap(),
        id: PeerId::random().unwrap(),
        instance: 1,
        address: ([127, 0, 0, 1], 1).into(),
        version: context.version.clone(),
        files: Vec::new(),
        load: None,
        manifest: None,
        manifest_in_ms: None,
        penalty: None,
        entries: None,
    }
}

fn archive_code(result: Result<Totals, AttemptError>) -> &'static str {
    match result.unwrap_err() {
        AttemptError::Archive(error) => error.code(),
        other => panic!("{other:?}"),
    }
}

/// RAR 4, several archives, volumes, references, solid, empty files and folders.
#[tokio::test]
async fn what_is_decoded_here_is_what_the_archives_have() {
    for name in [
        "fixture-multi/cnctw",
        "fixture-rar4/rar4-classic",
        "fixture-volumes/volumes-many",
        "fixture-references/references-solid",
        "fixture-edge/edge-cases",
        "fixture-unicode/unicode-names",
    ] {
        let game = Game::fixture(name);
        let (manifest, window) = (game.manifest(), game.window());
        let mut receiver = Receiver::new(&game);
        let totals = receiver.install(manifest, &window).await.unwrap();
        let expected = game.unpacked();
        assert!(receiver.tree(&game) == expected, "{name}");
        assert!(!window.is_closed(), "{name}: others may read it");
        let files = expected.values().filter(|node| matches!(node, Node::File(..))).count();
        assert_eq!(totals.files, files as u64, "{name}");
    }
}

#[tokio::test]
async fn an_attempt_reports_its_archives_its_progress_and_its_end() {
    let game = Game::fixture("fixture-multi/cnctw");
    let mut receiver = Receiver::new(&game);
    let totals = receiver.install(game.manifest(), &game.window()).await.unwrap();
    let (mut archives, mut last, mut finishing) = (0, (0, 0), 0);
    while let Some(event) = receiver.heard.try_next() {
        match event {
            PeerEvent::ArchiveBegin { .. } => archives += 1,
            PeerEvent::StreamProgress { bytes, bytes_total, .. } => last = (bytes, bytes_total),
            PeerEvent::Finishing { bytes, .. } => finishing = bytes,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((archives, last, finishing), (2, (totals.bytes, totals.bytes), totals.bytes));
}

/// Byte by byte, as from the slowest network.
#[tokio::test]
async fn what_the_organiser_lists_is_compared() {
    let game = Game::small();
    let listing = game.listing(&small_game::tree(), &[small_game::EMPTY_FOLDER]);
    let window = game.window();
    let mut receiver = Receiver::trusting(&game, Arc::clone(&listing));
    let feeding = async {
        for _ in 0..window.size() {
            window.arrive(1);
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    let totals = receiver.attempt(Arc::clone(&listing), &window, feeding).await.unwrap();
    assert_eq!(totals, small_game::totals());
    assert_eq!(receiver.tree(&game), small_game::tree());
    let other: Tree = BTreeMap::from([("other".to_owned(), Node::File(b"x".to_vec(), false))]);
    let mut receiver = Receiver::trusting(&game, game.listing(&other, &[]));
    let error = receiver.install(listing, &game.window()).await.unwrap_err();
    assert!(matches!(error, AttemptError::Lied(_)), "{error:?}");
    receiver.assert_nothing_is_left("another tree");
}

#[tokio::test]
async fn a_cancelled_attempt_leaves_nothing() {
    let game = Game::fixture("fixture-solid/cnctw");
    for quarters in 0..4 {
        let window = game.window();
        let mut receiver = Receiver::new(&game);
        let (cancel, part) = (receiver.cancel.clone(), window.size() * quarters / 4);
        let (arriving, reader) = (Arc::clone(&window), Arc::clone(&window));
        let feeding = async move {
            arriving.arrive(part);
            tokio::task::spawn_blocking(move || reader.drained(part)).await.unwrap();
            cancel.cancel();
            std::future::pending().await
        };
        let error = receiver.attempt(game.manifest(), &window, feeding).await.unwrap_err();
        assert!(matches!(error, AttemptError::Cancelled), "{error:?}");
        assert!(window.is_closed());
        receiver.assert_nothing_is_left("cancelled");
    }
}

/// The window may be closed before its owner says why, or after that.
#[tokio::test]
async fn an_attempt_fails_with_what_its_feeding_failed_with() {
    let game = Game::fixture("fixture-volumes/volumes-many");
    for quarters in 0..4 {
        for closes_first in [false, true] {
            let window = game.window();
            let mut receiver = Receiver::new(&game);
            let part = window.size() * quarters / 4;
            let (arriving, reader) = (Arc::clone(&window), Arc::clone(&window));
            let feeding = async move {
                arriving.arrive(part);
                tokio::task::spawn_blocking(move || reader.drained(part)).await.unwrap();
                if closes_first {
                    arriving.close();
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                }
                Err(WireError::Closed.into())
            };
            let error = receiver.attempt(game.manifest(), &window, feeding).await.unwrap_err();
            assert!(matches!(error, AttemptError::Wire(WireError::Closed)), "{error:?}");
            assert!(window.is_closed());
            receiver.assert_nothing_is_left("its feeding failed");
        }
    }
}

#[tokio::test]
async fn what_brings_the_bytes_need_not_end() {
    let game = Game::small();
    let window = game.window();
    window.arrive(window.size());
    let mut receiver = Receiver::new(&game);
    let totals = receiver.attempt(game.manifest(), &window, std::future::pending()).await.unwrap();
    assert_eq!(totals, small_game::totals());
    assert_eq!(receiver.tree(&game), small_game::tree());
}

/// The header map is of another archive, whose content has other bytes, names or sizes.
#[tokio::test]
async fn a_header_map_that_lies_is_refused_and_nothing_is_installed() {
    let game = Game::small();
    let with = |name: &str, content: &[u8]| {
        let mut builder = rars::Builder::new(rars::ArchiveVersion::Rar50);
        builder.add_bytes(name.into(), content.to_vec(), None, None).unwrap();
        builder.write_to_path(&game.root().join("small.eti"), None).unwrap();
        (game.manifest(), game.window())
    };
    let (honest, window) = with("game.bin", b"content");
    for (name, content) in [("evil.bin", "content"), ("game.bin", "c0ntent"), ("game.bin", "contents")] {
        let (lie, _) = with(name, content.as_bytes());
        let mut receiver = Receiver::new(&game);
        let result = receiver.install(lie, &Window::new(window.volumes.clone())).await;
        assert_eq!(archive_code(result), "header-map-wrong", "{name} {content}");
        receiver.assert_nothing_is_left(name);
    }
    let without = manifests::of_root_files(&game.root(), "small", game.version.as_str());
    let mut receiver = Receiver::new(&game);
    let result = receiver.install(without, &Window::new(window.volumes.clone())).await;
    assert_eq!(archive_code(result), "header-map-wrong", "no header map");
    receiver.assert_nothing_is_left("no header map");
    assert!(Receiver::new(&game).install(honest, &window).await.is_ok(), "without a lie");
}

#[tokio::test]
async fn a_dictionary_beyond_the_limit_is_refused_before_anything_is_read() {
    let game = Game::fixture("fixture-solid/cnctw");
    let mut receiver = Receiver::new(&game);
    receiver.context.as_mut().unwrap().dictionary_bytes_max = limits::DICTIONARY_BYTES_MIN - 1;
    let window = game.window();
    let feeding = std::future::pending();
    let result = receiver.attempt(game.manifest(), &window, feeding).await;
    assert_eq!(archive_code(result), "archive-refused");
    receiver.assert_nothing_is_left("its dictionary is too large");
}

/// A header of RAR 5: a CRC-32, the size, and these bytes.
fn header(body: &[u8]) -> Vec<u8> {
    let sized = [&[u8::try_from(body.len()).unwrap()], body].concat();
    let crc32 = u32::from_str_radix(&Checksum::of(&sized).to_string(), 16).unwrap();
    [&crc32.to_le_bytes()[..], &sized].concat()
}

/// An archive of one stored file of 8 TiB, of which no byte is there.
#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_read() {
    let game = Game::small();
    let size = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
    let file = [&[2, 2, 0, 0][..], &size, &[0, 0, 1, 4], b"huge"].concat();
    let archive =
        [b"Rar!\x1a\x07\x01\x00".to_vec(), header(&[1, 0, 0]), header(&file), header(&[5, 0, 0])].concat();
    fs::write(game.root().join("small.eti"), archive).unwrap();
    let mut receiver = Receiver::new(&game);
    let window = game.window();
    let error = receiver.attempt(game.manifest(), &window, std::future::pending()).await.unwrap_err();
    assert!(matches!(error, AttemptError::Unfit(LocalError::NotEnoughSpace { .. })), "{error:?}");
    assert_eq!(window.state.lock().unwrap().read, 0);
    receiver.assert_nothing_is_left("the disk is full");
}
