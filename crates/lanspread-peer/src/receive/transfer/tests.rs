//! Several real sources over in-memory pipes with faults. If one of them fails, the others send the rest, and the
//! receiver ends with the files of the sources.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use lanspread_archive::provider::ProviderChoice;
use lanspread_proto::chunk::Buffers;
use lanspread_proto::error::WireError;
use lanspread_proto::message::Hello;
use lanspread_store::download::partials;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_testing::fault_pipe::{Fault, FaultPipe};
use lanspread_testing::machine::Machine;
use lanspread_testing::manifests::of_root_files;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameId, GameVersion, PeerId};
use lanspread_types::limits::CHUNK_BYTES;
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::receive::arrivals::Arrivals;
use crate::receive::chunk_source::{ChunkSource, OpenSource, Wanted};
use crate::receive::chunk_writer::DownloadTarget;
use crate::receive::fetch::PeerChunks;
use crate::receive::patience::Patience;
use crate::receive::transfer_source::TransferSource;
use crate::report::channel::{EventSender, PeerEvents};
use crate::report::operation::Wait;
use crate::source::{Source, handler};
use crate::task::Tasks;
use crate::testing::{dialled, hello};
use crate::traffic::Meter;
use crate::trust::select::PeerOffer;

mod listed;
mod scripted;

/// Three chunks of the archive, one of the sentinel.
const ARCHIVE_BYTES: u64 = 3 * CHUNK_BYTES;
const CHUNK_COUNT: u64 = 4;

/// One source, and the fault of each of its connections in order. All later connections are good.
struct Served {
    machine: Machine,
    source: Arc<Source>,
    id: PeerId,
    hello: Hello,
    faults: Mutex<Vec<Fault>>,
    /// Connections that are still answered.
    connections_left: AtomicU64,
}

impl Served {
    fn new(name: &str, faults: &[Fault]) -> Self {
        let machine = Machine::new();
        let root = machine.games_dir().join("g");
        fs::create_dir(&root).unwrap();
        let archive = fs::File::create(root.join("a.eti")).unwrap();
        archive.set_len(ARCHIVE_BYTES).unwrap();
        for chunk in 0..3 {
            archive.write_all_at(format!("this is chunk {chunk}").as_bytes(), chunk * CHUNK_BYTES).unwrap();
        }
        fs::write(root.join("version.ini"), "1").unwrap();
        let provider = lanspread_archive::provider(&ProviderChoice::Native);
        let (events, tasks) = (EventSender::new(), Tasks::default());
        let source = Arc::new(Source::new(machine.games_dir(), None, provider, events, tasks, 8));
        let (id, hello) = (PeerId::random().unwrap(), hello(name));
        let faults = Mutex::new(faults.iter().rev().copied().collect());
        Self { machine, source, id, hello, faults, connections_left: AtomicU64::new(u64::MAX) }
    }

    fn archive(&self) -> std::path::PathBuf {
        self.machine.games_dir().join("g/a.eti")
    }
}

struct Pipes(Vec<Arc<Served>>);

impl OpenSource for Pipes {
    type Source = PeerChunks<FaultPipe<DuplexStream>>;

    async fn open(
        &self,
        source: &TransferSource,
        wanted: Wanted<'_>,
        queued: impl FnMut(QueuePosition) + Send,
    ) -> Result<Self::Source, WireError> {
        let served = self.0.iter().find(|served| served.hello.name == *source.name()).unwrap();
        let left = served.connections_left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(WireError::Connect(std::io::ErrorKind::ConnectionRefused.into()));
        }
        served.connections_left.store(left - 1, Ordering::Relaxed);
        let expected = source.record_id();
        if expected != served.id {
            return Err(WireError::OtherKey { expected, got: served.id });
        }
        let fault = served.faults.lock().unwrap().pop().unwrap_or(Fault::None);
        let (near, far) = duplex(256 * 1024);
        let (source, hello) = (Arc::clone(&served.source), served.hello.clone());
        served.source.tasks.spawn("connection", async move {
            handler::serve(&source, far, &hello, &CancellationToken::new()).await;
        });
        let connection = dialled(FaultPipe::on_reads(near, fault), &served.hello).await?;
        PeerChunks::agree(connection, Meter::unlimited(), wanted, queued).await
    }
}

struct Receiver {
    machine: Machine,
    /// The target of the transfer that is running.
    target: Mutex<Option<Arc<DownloadTarget>>>,
    events: EventSender,
    heard: PeerEvents,
    tasks: Tasks,
    cancel: CancellationToken,
    /// The manifest that the receiver has.
    manifest: Option<Arc<ManifestFile>>,
}

impl Receiver {
    fn new() -> Self {
        let events = EventSender::new();
        let heard = events.subscribe();
        let (tasks, cancel) = (Tasks::default(), CancellationToken::new());
        let (target, manifest) = (Mutex::default(), None);
        Self { machine: Machine::new(), target, events, heard, tasks, cancel, manifest }
    }

    /// A receiver whose manifest lists what this source has now.
    fn with_manifest_of(served: &Served) -> Self {
        let root = served.machine.games_dir().join("g");
        Self { manifest: Some(of_root_files(&root, "g", "1")), ..Self::new() }
    }

    fn offer(served: &Served) -> PeerOffer {
        let state = GameState::read(&served.machine.games_dir(), &"g".parse().unwrap()).unwrap().unwrap();
        PeerOffer {
            name: served.hello.name.clone(),
            id: served.id,
            instance: served.hello.instance,
            address: ([127, 0, 0, 1], 1).into(),
            version: "1".parse().unwrap(),
            files: state.root_files,
            load: None,
            manifest: None,
            manifest_in_ms: None,
            penalty: None,
            entries: None,
        }
    }

    /// Transfers the missing chunks and returns how many each source sent.
    async fn transfer(&self, sources: &[&Arc<Served>]) -> Result<Vec<(String, u64)>, ReceiveError> {
        let offers = sources.iter().map(|served| Self::offer(served)).collect();
        self.transfer_from(sources, offers).await
    }

    async fn transfer_from(
        &self,
        sources: &[&Arc<Served>],
        offers: Vec<PeerOffer>,
    ) -> Result<Vec<(String, u64)>, ReceiveError> {
        let games = GamesDir::open(&self.machine.games_dir()).unwrap();
        let (game, version): (GameId, GameVersion) = ("g".parse().unwrap(), "1".parse().unwrap());
        let files = offers[0].files.clone();
        let listed = self.manifest.clone().map(ListedChunks::new);
        let prepared = partials::prepare(&games, &game, &version, &files, listed.as_ref(), &self.cancel);
        let (partials, journal) = prepared.unwrap();
        let target = DownloadTarget {
            partials,
            journal: Mutex::new(journal),
            booking: None,
            written_bytes: AtomicU64::new(0),
        };
        let target = Arc::new(target);
        *self.target.lock().unwrap() = Some(Arc::clone(&target));
        let shares = transfer(TransferContext {
            game,
            version,
            files,
            sources: offers.into_iter().map(|offer| TransferSource::Peer(Box::new(offer))).collect(),
            target,
            listed,
            locked: None,
            connect: Pipes(sources.iter().map(|served| Arc::clone(served)).collect()),
            patience: Patience::new(Wait::Always),
            events: self.events.clone(),
            tasks: self.tasks.clone(),
            cancel: self.cancel.clone(),
        })
        .await;
        assert_eq!(self.tasks.running(), 0, "no task is left");
        Ok(shares?.into_iter().map(|share| (share.peer.to_string(), share.chunks)).collect())
    }

    /// The failures of sources, with the code of each.
    fn failures(&mut self) -> Vec<(String, String)> {
        let heard = std::iter::from_fn(|| self.heard.try_next());
        heard
            .filter_map(|event| match event {
                PeerEvent::DownloadSourceFailed { peer, code, .. } => {
                    Some((peer.to_string(), code.into_owned()))
                }
                _ => None,
            })
            .collect()
    }

    /// Whether the receiver's files equal those of a source.
    fn has_all_of(&self, served: &Served) -> bool {
        let here = |name: &str| fs::read(self.machine.games_dir().join("g/.downloading").join(name)).unwrap();
        here("a.eti") == fs::read(served.archive()).unwrap() && here("version.ini") == b"1"
    }
}

fn served(name: &str, faults: &[Fault]) -> Arc<Served> {
    Arc::new(Served::new(name, faults))
}

fn strings<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn two_equal_sources_send_half_of_the_chunks_each() {
    let (one, two) = (served("one", &[]), served("two", &[]));
    let mut receiver = Receiver::new();
    let shares = receiver.transfer(&[&one, &two]).await.unwrap();
    assert_eq!(shares, [("one".to_owned(), 2), ("two".to_owned(), 2)]);
    assert!(receiver.has_all_of(&one));
    assert!(receiver.failures().is_empty());
    for served in [one, two] {
        served.source.tasks.stop(limits::SHUTDOWN_DEADLINE).await;
        assert_eq!((served.source.active_transfers(), served.source.tasks.running()), (0, 0));
    }
}

/// For every fault of one source, the failure has its code, the other source sends the rest, and the content is right.
#[tokio::test(start_paused = true)]
async fn when_one_source_fails_the_other_sends_the_rest() {
    for (fault, code) in [
        (Fault::CutAt(0), "connection-lost"),
        (Fault::CutAt(1000), "connection-lost"),
        (Fault::CutAt(CHUNK_BYTES / 2), "connection-lost"),
        (Fault::FlipBit { at: 1_000_000, bit: 3 }, "checksum-mismatch"),
        // The kind of a frame in the middle of the transfer.
        (Fault::FlipBit { at: 2, bit: 7 }, "not-lanspread"),
    ] {
        let (faulty, honest) = (served("faulty", &[fault; 100]), served("honest", &[]));
        let mut receiver = Receiver::new();
        receiver.transfer(&[&faulty, &honest]).await.unwrap();
        assert!(receiver.has_all_of(&honest), "{fault:?}");
        assert_eq!(receiver.failures().first(), strings([("faulty", code)]).first(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_source_is_asked_again_only_for_the_missing_chunks() {
    let one = served("one", &[Fault::CutAt(CHUNK_BYTES + 300_000)]);
    let mut receiver = Receiver::new();
    let shares = receiver.transfer(&[&one]).await.unwrap();
    assert_eq!(shares, [("one".to_owned(), CHUNK_COUNT)], "no chunk was sent twice");
    assert_eq!(receiver.failures(), strings([("one", "connection-lost")]));
    assert!(receiver.has_all_of(&one));
}

#[tokio::test(start_paused = true)]
async fn when_all_sources_fail_their_chunks_are_kept_for_the_next_run() {
    let one = served("one", &[Fault::CutAt(CHUNK_BYTES + 300_000)]);
    one.connections_left.store(1, Ordering::Relaxed);
    let mut receiver = Receiver::new();
    match receiver.transfer(&[&one]).await {
        Err(ReceiveError::AllSourcesFailed { attempts, .. }) => assert_eq!(attempts[0].code, "unreachable"),
        other => panic!("{other:?}"),
    }
    let tries = limits::SOURCE_FAILURES_MAX as usize;
    // A delivered chunk resets the count, so the break after it is the first failure.
    assert_eq!(receiver.failures().len(), tries);
    one.connections_left.store(9, Ordering::Relaxed);
    assert_eq!(receiver.transfer(&[&one]).await.unwrap(), [("one".to_owned(), CHUNK_COUNT - 1)]);
    assert!(receiver.has_all_of(&one));
}

/// The chunks of the old file are dropped, because a file is never combined from two.
#[tokio::test(start_paused = true)]
async fn a_source_whose_file_changed_sends_all_of_it_again() {
    let one = served("one", &[Fault::CutAt(CHUNK_BYTES + 300_000)]);
    one.connections_left.store(1, Ordering::Relaxed);
    let receiver = Receiver::new();
    assert!(receiver.transfer(&[&one]).await.is_err());
    let archive = fs::OpenOptions::new().write(true).open(one.archive()).unwrap();
    archive.write_all_at(b"THIS IS ANOTHER", 0).unwrap();
    one.connections_left.store(9, Ordering::Relaxed);
    assert_eq!(receiver.transfer(&[&one]).await.unwrap(), [("one".to_owned(), CHUNK_COUNT)]);
    assert!(receiver.has_all_of(&one), "the first chunk is the new one");
}

#[tokio::test(start_paused = true)]
async fn another_peer_at_the_address_is_never_a_source() {
    let (one, two) = (served("one", &[]), served("two", &[]));
    let mut receiver = Receiver::new();
    let mut offers = vec![Receiver::offer(&one), Receiver::offer(&two)];
    offers[0].id = PeerId::random().unwrap();
    let shares = receiver.transfer_from(&[&one, &two], offers).await.unwrap();
    assert_eq!(shares, [("two".to_owned(), CHUNK_COUNT)]);
    assert_eq!(receiver.failures(), strings([("one", "other-peer")]));
}

/// A stalled source neither ends nor sends. Long before its deadline, the other one takes over its chunks. The clock stands
/// still until the other source has sent everything else, and moves only until the stalled one is relieved, so a slow
/// machine changes nothing.
#[tokio::test(start_paused = true)]
async fn a_stalled_source_is_relieved() {
    let (slow, fast) = (served("slow", &[Fault::StallAt(500_000)]), served("fast", &[]));
    let mut receiver = Receiver::new();
    let mut relieved = receiver.events.subscribe();
    let chunks_here = || {
        let target = receiver.target.lock().unwrap();
        target.as_ref().map_or(0, |target| target.journal().record.here.iter().flatten().count())
    };
    let clock = async {
        // While a writer thread runs, the paused clock does not move by itself. What is left at last are the task and the
        // writer of the stalled source.
        while chunks_here() < 2 || receiver.tasks.running() > 2 {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        while !matches!(relieved.try_next(), Some(PeerEvent::DownloadSourceFailed { .. })) {
            assert!(begun.elapsed() < limits::STREAM_IDLE_DEADLINE / 2, "it is not relieved in time");
            tokio::time::advance(Duration::from_millis(100)).await;
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        std::future::pending::<()>().await;
    };
    let sources = [&slow, &fast];
    let shares = tokio::select! {
        shares = receiver.transfer(&sources) => shares.unwrap(),
        () = clock => unreachable!(),
    };
    assert_eq!(shares, [("fast".to_owned(), CHUNK_COUNT)]);
    assert_eq!(receiver.failures(), strings([("slow", "too-slow")]), "relieved, not given up");
    assert!(receiver.has_all_of(&fast));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_transfer_ends_at_once_with_every_task() {
    let stalled = served("one", &[Fault::StallAt(500_000)]);
    let receiver = Receiver::new();
    let cancel = receiver.cancel.clone();
    let (one, others) = ([&stalled], async {
        // As soon as the source is sending.
        while stalled.source.active_transfers() == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    });
    let (result, ()) = tokio::join!(receiver.transfer(&one), others);
    assert!(matches!(result, Err(ReceiveError::Cancelled)));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_ends_the_transfer_and_no_source_is_blamed() {
    let one = served("one", &[]);
    let mut receiver = Receiver::new();
    let removing = receiver.machine.games_dir().join("g/.downloading/a.eti");
    let mut offers = vec![Receiver::offer(&one)];
    offers[0].files.reverse();
    // The receiver's file is removed, so that opening it for writing fails.
    let connect = async {
        loop {
            if fs::remove_file(&removing).is_ok() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let sources = [&one];
    let (result, ()) = tokio::join!(receiver.transfer_from(&sources, offers), connect);
    match result {
        Err(ReceiveError::Store(error)) => assert!(error.to_string().contains("a.eti"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(receiver.failures().is_empty());
}
