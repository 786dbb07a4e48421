//! Archives that come from a window in memory.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use lanspread_store::download::partials;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::lock::GameLock;
use lanspread_testing::machine::Machine;
use lanspread_types::content::RootFile;
use lanspread_types::ids::PeerId;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::packed::layout::Layout;
use crate::packed::window::PackedWindow;
use crate::task::Tasks;

/// Of a listed chunk.
const LISTED: u64 = limits::MANIFEST_CHUNK_BYTES as u64;

/// A download of two volumes and another file, to which nothing has been written.
struct Download {
    machine: Machine,
    volumes: [Vec<u8>; 2],
    layout: Arc<Layout>,
    window: Arc<PackedWindow>,
    target: Arc<DownloadTarget>,
    locked: LockedGame,
}

impl Download {
    /// The first volume is longer than one chunk of the record.
    fn new() -> Self {
        let machine = Machine::new();
        let bytes =
            |count: u64, seed: u8| -> Vec<u8> { (0..count).map(|byte| (byte % 251) as u8 ^ seed).collect() };
        let volumes = [bytes(limits::CHUNK_BYTES + LISTED + 5, 1), bytes(LISTED - 1, 2)];
        let file = |name: &str, size: usize| RootFile { name: name.to_owned(), size: size as u64 };
        let files = [
            file("b.part1.eti", volumes[0].len()),
            file("b.part2.eti", volumes[1].len()),
            file("version.ini", 1),
        ];
        let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
        let (game, version) = ("g".parse().unwrap(), "1".parse().unwrap());
        let cancel = CancellationToken::new();
        let (partials, journal) = partials::prepare(&games, &game, &version, &files, None, &cancel).unwrap();
        let journal = Mutex::new(journal);
        let target = DownloadTarget { partials, journal, booking: None, written_bytes: AtomicU64::new(0) };
        let lock = GameLock::acquire(&games, &game).unwrap();
        let layout = Layout::new(LISTED, [(0, files[0].size), (1, files[1].size)]);
        let window = Arc::new(PackedWindow::new(4, layout.chunks()));
        let locked = LockedGame::new(games, game, lock, Tasks::default(), cancel);
        Self { machine, volumes, layout: Arc::new(layout), window, target: Arc::new(target), locked }
    }

    fn write(&self) -> PackedWrite {
        let origin = ChunkOrigin {
            peer: "den".parse().unwrap(),
            peer_id: PeerId::random().unwrap(),
            fingerprints: Vec::new(),
        };
        let bytes = WindowBytes { window: Arc::clone(&self.window), layout: Arc::clone(&self.layout) };
        let (locked, target) = (self.locked.clone(), Arc::clone(&self.target));
        PackedWrite { locked, bytes: Arc::new(bytes), target, origin }
    }

    /// Puts chunks into the window, as there is room for them.
    async fn bring(&self, chunks: u64) {
        let mut changes = self.window.changes();
        for number in 0..chunks {
            let place = self.layout.chunk(number).unwrap();
            let from = usize::try_from(place.offset).unwrap();
            let to = from + usize::try_from(place.length).unwrap();
            let data = Bytes::copy_from_slice(&self.volumes[place.volume][from..to]);
            while self.window.horizon(tokio::time::Instant::now()) <= number {
                changes.changed().await.unwrap();
            }
            assert!(self.window.change(|ring| ring.push(number, data)));
        }
    }

    /// The chunks that are recorded, by their ids.
    fn here(&self) -> Vec<bool> {
        self.target.journal().record.here.iter().map(Option::is_some).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_chunk_is_written_to_its_place_and_recorded_when_it_is_whole() {
    let download = Download::new();
    let (heard, chunks) = (Mutex::new(Vec::new()), download.layout.chunks());
    let feeding = async {
        download.bring(chunks).await;
        Ok(())
    };
    write_packed(download.write(), feeding, |bytes| heard.lock().unwrap().push(bytes)).await.unwrap();
    let folder = download.machine.games_dir().join("g/.downloading");
    for (name, volume) in ["b.part1.eti", "b.part2.eti"].iter().zip(&download.volumes) {
        assert!(fs::read(folder.join(name)).unwrap() == *volume, "{name}");
    }
    // Two of the first volume, one of the second, and the other file, which a wave does not bring.
    assert_eq!(download.here(), [true, true, true, false]);
    let recorded = download.target.journal().record.here[0].clone().unwrap();
    let first = usize::try_from(limits::CHUNK_BYTES).unwrap();
    assert_eq!(recorded.checksum, lanspread_types::checksum::Checksum::of(&download.volumes[0][..first]));
    let bytes: u64 = download.volumes.iter().map(|volume| volume.len() as u64).sum();
    assert_eq!(heard.into_inner().unwrap().last(), Some(&bytes));
    assert!(!download.window.is_closed(), "others may still want what is in it");
}

/// What was recorded before stays, and the thread has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_fails_leaves_what_it_brought() {
    let download = Download::new();
    let feeding = async {
        download.bring(limits::CHUNK_BYTES / LISTED + 1).await;
        while !download.here()[0] {
            tokio::task::yield_now().await;
        }
        Err(AttemptError::NoUpstream(None))
    };
    let ended = write_packed(download.write(), feeding, |_| ()).await;
    assert!(matches!(ended, Err(AttemptError::NoUpstream(None))), "{ended:?}");
    assert_eq!(download.here(), [true, false, false, false]);
    assert!(download.window.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_ends_the_stream() {
    let download = Download::new();
    let shown = download.target.partials.path(0);
    fs::remove_file(&shown).unwrap();
    fs::create_dir(&shown).unwrap();
    let feeding = async {
        download.bring(1).await;
        std::future::pending().await
    };
    let ended = write_packed(download.write(), feeding, |_| ()).await;
    assert!(matches!(ended, Err(AttemptError::Local(_))), "{ended:?}");
    assert!(download.window.is_closed());
}

/// The thread holds the game locked for as long as it waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_ends_its_thread() {
    let download = Download::new();
    let games = Arc::new(GamesDir::open(&download.machine.games_dir()).unwrap());
    {
        let writing = write_packed(download.write(), std::future::pending(), |_| ());
        let writes = async {
            download.bring(1).await;
            while download.target.written_bytes.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = writing => panic!("{ended:?}"),
            () = writes => {}
        }
    }
    assert!(download.window.is_closed());
    let Download { machine: _machine, locked, target, .. } = download;
    drop((locked, target));
    // It ends on its own.
    while GameLock::acquire(&games, &"g".parse().unwrap()).is_err() {
        tokio::task::yield_now().await;
    }
}
