//! Serving over an in-memory pipe: bad bytes, refusals, streams whose receiver goes away, and stopping.
//!
//! Whatever happens on one connection, the others go on, and at its end no task, thread, child or count is left: a
//! connection here is a counted task, so when it has ended and nothing is counted, its decoder has ended as well.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::archive::ArchiveError;
use crate::archive::entry::{EntryPath, NamePolicy};
use crate::archive::provider::{
    ArchiveFormat, ArchiveListing, ArchiveSummary, FileEntry, ListedEntry, ProviderChoice, SharedSink, Totals,
};
use crate::archive::set::ArchiveSet;
use crate::event::PeerEvent;
use crate::game::PeerId;
use crate::net::dial::dial;
use crate::testing::lying_source::{control_frame, raw_frame};
use crate::testing::machine::Machine;
use crate::testing::{programs, small_game};
use crate::wire::WireError;
use crate::wire::codec;
use crate::wire::connection::Connection;
use crate::wire::message::{Hello, PROTOCOL_VERSION, Reply, Request, StreamItem, StreamMessage};

/// Size of the one file that a [`ToldProvider`] lists: more than any pipe here holds.
const LISTED_BYTES: u64 = 1 << 40;

/// What a [`ToldProvider`] does next.
enum Order {
    /// Pushes this many bytes.
    Push(usize),
    /// Pushes until the sink takes no more.
    Flood,
    /// Ends in a way it must not.
    Panic,
}

/// A provider that has nothing to say until it is told. Like a real one it notices soon that it is cancelled.
struct ToldProvider {
    orders: Mutex<mpsc::Receiver<Order>>,
}

fn told() -> (mpsc::Sender<Order>, Arc<ToldProvider>) {
    let (sender, orders) = mpsc::channel();
    (sender, Arc::new(ToldProvider { orders: Mutex::new(orders) }))
}

impl ToldProvider {
    fn file() -> FileEntry {
        let path = EntryPath::parse("endless.bin", NamePolicy::Portable).unwrap();
        FileEntry { path, size: LISTED_BYTES, crc32: None, modified: None, executable: false }
    }
}

impl ArchiveProvider for ToldProvider {
    fn inspect(&self, archive: &ArchiveSet, _: &CancellationToken) -> Result<ArchiveListing, ArchiveError> {
        let totals = Totals { files: 1, directories: 0, bytes: LISTED_BYTES };
        let name = archive.name().to_owned();
        let summary = ArchiveSummary { name, format: ArchiveFormat::Rar5, solid: false, totals };
        Ok(ArchiveListing { summary, entries: vec![ListedEntry::File(Self::file())] })
    }

    fn extract(
        &self,
        _: &ArchiveSet,
        listing: &Arc<ArchiveListing>,
        sink: SharedSink,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        sink.borrow_mut().archive_begin(&listing.summary)?;
        sink.borrow_mut().file_begin(&Self::file())?;
        let orders = self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let chunk = vec![7; limits::DATA_CHUNK_BYTES];
        loop {
            match orders.recv_timeout(Duration::from_millis(5)) {
                Ok(Order::Push(bytes)) => sink.borrow_mut().chunk(&chunk[..bytes])?,
                Ok(Order::Flood) => loop {
                    sink.borrow_mut().chunk(&chunk)?;
                },
                Ok(Order::Panic) => panic!("told to"),
                Err(mpsc::RecvTimeoutError::Timeout) if !cancel.is_cancelled() => {}
                // Also when the test is gone: no thread of a failed test goes on.
                Err(_) => return Err(ArchiveError::Cancelled),
            }
        }
    }
}

/// A provider that must never be asked.
struct UntouchedProvider;

impl ArchiveProvider for UntouchedProvider {
    fn inspect(&self, _: &ArchiveSet, _: &CancellationToken) -> Result<ArchiveListing, ArchiveError> {
        unreachable!("a refused game is not listed")
    }

    fn extract(
        &self,
        _: &ArchiveSet,
        _: &Arc<ArchiveListing>,
        _: SharedSink,
        _: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        unreachable!("a refused game is not decoded")
    }
}

fn hello(name: &str) -> Hello {
    Hello { peer: PeerId::random().unwrap(), name: name.parse().unwrap(), listen_port: None, instance: 0 }
}

/// A source whose connections are pipes.
struct Serving {
    machine: Machine,
    source: Arc<Source>,
    stop: CancellationToken,
}

impl Serving {
    fn new(provider: Arc<dyn ArchiveProvider>) -> Self {
        Self::with(provider, None, 2)
    }

    fn with(provider: Arc<dyn ArchiveProvider>, catalog: Option<&str>, streams_max: usize) -> Self {
        let machine = Machine::new();
        small_game::download(&machine.games_dir());
        let catalog = catalog.map(|text| {
            let path = machine.games_dir().join("catalog.toml");
            std::fs::write(&path, text).unwrap();
            Arc::new(Catalog::load(&path).unwrap())
        });
        let (events, tasks) = (EventSender::new(), Tasks::default());
        let source = Source::new(machine.games_dir(), catalog, provider, events, tasks, streams_max);
        Self { machine, source: Arc::new(source), stop: CancellationToken::new() }
    }

    fn root(&self, game: &str) -> std::path::PathBuf {
        self.machine.games_dir().join(game)
    }

    /// A new connection: our end of it, and the task that serves the other.
    fn connect(&self, buffer_bytes: usize) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(buffer_bytes);
        let (source, stop) = (Arc::clone(&self.source), self.stop.clone());
        let serving = self.source.tasks.spawn("connection", async move {
            handler::serve(&source, far, &hello("source"), &stop).await;
        });
        (near, serving)
    }

    async fn ask(&self, request: &Request) -> Result<Reply, WireError> {
        let (near, _serving) = self.connect(64 * 1024);
        let mut connection = Connection::open(near, &hello("asker")).await?;
        connection.send(request).await?;
        connection.receive("reply", limits::REPLY_DEADLINE).await?.ok_or(WireError::Closed)
    }

    /// Asks for the stream of a game and leaves its frames to the caller.
    async fn stream(
        &self,
        game: &str,
        version: &str,
        buffer_bytes: usize,
    ) -> (Connection<DuplexStream>, JoinHandle<()>) {
        let (near, serving) = self.connect(buffer_bytes);
        let mut connection = Connection::open(near, &hello("receiver")).await.unwrap();
        let (game, version) = (game.parse().unwrap(), version.parse().unwrap());
        connection.send(&Request::StreamInstall { game, version }).await.unwrap();
        (connection, serving)
    }

    async fn small_stream(&self, buffer_bytes: usize) -> (Connection<DuplexStream>, JoinHandle<()>) {
        self.stream(small_game::game().as_str(), small_game::version().as_str(), buffer_bytes).await
    }

    /// The connection ends by itself, and soon.
    async fn assert_ends(&self, serving: JoinHandle<()>, why: &str) {
        let ended = timeout(Duration::from_secs(20), serving).await;
        ended.unwrap_or_else(|_| panic!("the connection does not end: {why}")).unwrap();
    }

    /// Nothing is left of anything.
    fn assert_quiet(&self, why: &str) {
        assert_eq!(self.source.active_transfers(), 0, "streams: {why}");
        assert_eq!(self.source.connections.load(Ordering::Relaxed), 0, "connections: {why}");
        assert_eq!(self.source.tasks.running(), 0, "tasks: {why}");
    }
}

/// Frames until the first data, which proves that the decoder runs.
async fn read_until_data(connection: &mut Connection<DuplexStream>) {
    loop {
        if let StreamItem::Data(_) = connection.receive_item().await.unwrap() {
            return;
        }
    }
}

/// Frames until the first data, and then until the next one has begun to arrive: through a pipe that holds less than a
/// frame, the source is now in the middle of one.
async fn read_into_a_frame(connection: &mut Connection<DuplexStream>) {
    read_until_data(connection).await;
    connection.gone().await;
}

/// Frames until the file is open.
async fn read_until_file(connection: &mut Connection<DuplexStream>) {
    loop {
        if let StreamItem::Control(StreamMessage::FileBegin { .. }) = connection.receive_item().await.unwrap()
        {
            return;
        }
    }
}

/// What a future comes to without time passing: all other tasks have had many turns. Deadlines are no help where time
/// stands still.
async fn at_this_moment<T>(future: impl Future<Output = T>) -> Option<T> {
    let others = async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        result = future => Some(result),
        () = others => None,
    }
}

/// Frames until there is none; the last one.
async fn read_to_end<S: tokio::io::AsyncRead + tokio::io::AsyncWrite>(
    connection: &mut Connection<S>,
) -> (Option<StreamItem>, WireError) {
    let mut last = None;
    loop {
        match connection.receive_item().await {
            Ok(item) => last = Some(item),
            Err(error) => return (last, error),
        }
    }
}

fn introduction() -> Vec<u8> {
    let hello = control_frame(&codec::encode(&hello("client")).unwrap());
    [&b"LANSPRD\n"[..], &PROTOCOL_VERSION.to_be_bytes(), &hello].concat()
}

fn refusal_code(reply: &Reply) -> Option<&'static str> {
    match reply {
        Reply::Refused(refusal) => Some(refusal.code.as_str()),
        _ => None,
    }
}

// ---- Bad bytes -------------------------------------------------------------------------------------------------------

/// Bytes that are no request end their own connection, unanswered; a connection beside it goes on.
#[tokio::test]
async fn bad_bytes_end_their_own_connection_only() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    let (near, beside) = serving.connect(64 * 1024);
    let mut neighbour = Connection::open(near, &hello("neighbour")).await.unwrap();
    let after_hello = |bytes: &[u8]| [&introduction(), bytes].concat();
    let version = |version: u16| [&b"LANSPRD\n"[..], &version.to_be_bytes()].concat();
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("half a preamble", b"LANS".to_vec()),
        ("another version", version(PROTOCOL_VERSION + 1)),
        ("version zero", version(0)),
        ("no hello", version(PROTOCOL_VERSION)),
        ("a hello of data", [version(PROTOCOL_VERSION), raw_frame(1, b"x")].concat()),
        ("a hello of garbage", [version(PROTOCOL_VERSION), control_frame(&[0xff; 60])].concat()),
        ("a hello of 4 GiB", [version(PROTOCOL_VERSION), vec![0xff; 4], vec![0]].concat()),
        ("nothing after hello", introduction()),
        ("hello again", [introduction(), introduction()].concat()),
        ("a request of 4 GiB", after_hello(&[0xff, 0xff, 0xff, 0xff, 0])),
        ("a request over the limit", after_hello(&[0, 1, 0, 1, 0])),
        ("data for a request", after_hello(&raw_frame(1, b"x"))),
        ("an unknown kind", after_hello(&raw_frame(9, b"x"))),
        ("an empty request", after_hello(&raw_frame(0, b""))),
        ("an unknown request", after_hello(&control_frame(&[99]))),
        ("trailing bytes", after_hello(&control_frame(&[0, 0]))),
        ("a game that is a path", after_hello(&control_frame(b"\x01\x05../..\x00"))),
        ("a game that is our state", after_hello(&control_frame(b"\x01\x0a.lanspread"))),
        ("a version with a line break", after_hello(&control_frame(b"\x04\x05small\x03a\nb"))),
        ("an endless game name", after_hello(&control_frame(b"\x01\xfd\xff\xff\xff\xff\xff\xff\xff\xff"))),
        ("half a header", after_hello(&[0, 0])),
        ("half a request", after_hello(&[0, 0, 0, 20, 0, 1])),
    ];
    for (name, bytes) in table {
        let (mut near, served) = serving.connect(64 * 1024);
        // It may have given up before it has read all of it.
        let _ = near.write_all(&bytes).await;
        let _ = near.shutdown().await;
        let mut said = Vec::new();
        near.read_to_end(&mut said).await.unwrap();
        assert!(said.len() < 100, "{name}: it says its hello and nothing else: {said:?}");
        serving.assert_ends(served, name).await;
        neighbour.send(&Request::Status).await.unwrap();
        match neighbour.receive("reply", limits::REPLY_DEADLINE).await.unwrap() {
            Some(Reply::Status(status)) => assert_eq!(status.connections, 1, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    drop(neighbour);
    serving.assert_ends(beside, "the neighbour").await;
    serving.assert_quiet("after bad bytes");
}

/// A connection that says nothing is given up: before its hello soon, between two requests later.
#[tokio::test(start_paused = true)]
async fn silent_connections_are_given_up() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    let half = introduction().len() / 2;
    for (said, deadline) in [
        (Vec::new(), limits::HELLO_DEADLINE),
        (introduction()[..half].to_vec(), limits::HELLO_DEADLINE),
        (introduction(), limits::REQUEST_IDLE_DEADLINE),
        ([introduction(), vec![0, 0, 0, 9]].concat(), limits::FRAME_DEADLINE),
    ] {
        let begun = Instant::now();
        let (mut near, served) = serving.connect(64 * 1024);
        near.write_all(&said).await.unwrap();
        served.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), deadline.as_secs(), "after {} bytes", said.len());
    }
    serving.assert_quiet("after silence");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Random bytes, before, in or after the hello, end in a closed connection with nothing left.
    #[test]
    fn random_bytes_are_survived(
        cut in 0usize..80,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let serving = Serving::new(Arc::new(UntouchedProvider));
            let (mut near, served) = serving.connect(1024 * 1024);
            let introduction = introduction();
            near.write_all(&introduction[..cut.min(introduction.len())]).await.unwrap();
            near.write_all(&bytes).await.unwrap();
            near.shutdown().await.unwrap();
            near.read_to_end(&mut Vec::new()).await.unwrap();
            serving.assert_ends(served, "random bytes").await;
            serving.assert_quiet("random bytes");
        });
    }
}

// ---- Refusals --------------------------------------------------------------------------------------------------------

/// What is not downloaded, not whole, not in the catalog or held by an operation is refused by every request, with
/// the same code and without a look at any archive.
#[tokio::test]
async fn what_may_not_be_served_is_refused_by_every_request() {
    const CATALOG: &str = "schema = 1\n[games.small]\nname = 's'\nversion = '20250101'\n\
        [games.unknown]\nname = 'u'\nversion = '1'\n";
    const OTHER_CATALOG: &str = "schema = 1\n[games.small]\nname = 's'\nversion = '2'\n";
    const FOREIGN_CATALOG: &str = "schema = 1\n[games.other]\nname = 'o'\nversion = '1'\n";
    /// What is asked for, under which catalog, and what is done to the games directory before.
    struct Case {
        name: &'static str,
        catalog: Option<&'static str>,
        game: &'static str,
        version: &'static str,
        code: &'static str,
        setup: fn(&Path),
    }
    let unknown = Case {
        name: "unknown",
        catalog: None,
        game: "unknown",
        version: "1",
        code: "not-offered",
        setup: |_| {},
    };
    let known = || Case { game: "small", version: "20250101", ..unknown };
    let table = [
        Case { name: "unknown, in the catalog", catalog: Some(CATALOG), ..unknown },
        Case { name: "not in the catalog", catalog: Some(FOREIGN_CATALOG), ..known() },
        Case {
            name: "the catalog says another version",
            catalog: Some(OTHER_CATALOG),
            version: "2",
            code: "other-version",
            ..known()
        },
        Case {
            name: "an archive without a sentinel",
            setup: |games| std::fs::remove_file(games.join("small/version.ini")).unwrap(),
            ..known()
        },
        Case {
            name: "a sentinel that is no version",
            setup: |games| std::fs::write(games.join("small/version.ini"), "\n\n").unwrap(),
            ..known()
        },
        Case {
            name: "installed, not shareable",
            game: "local-only",
            setup: |games| {
                std::fs::create_dir_all(games.join("local-only/local/data")).unwrap();
                std::fs::write(games.join("local-only/local/version.ini"), "1").unwrap();
                std::fs::write(games.join("local-only/local/x.eti"), "Rar!").unwrap();
            },
            ..unknown
        },
        Case {
            name: "an operation is recorded",
            setup: |games| {
                std::fs::create_dir_all(games.join(".lanspread/intents")).unwrap();
                std::fs::write(games.join(".lanspread/intents/small.json"), "{}").unwrap();
            },
            ..known()
        },
        Case {
            name: "a file where a game root belongs",
            game: "plain",
            setup: |games| std::fs::write(games.join("plain"), "").unwrap(),
            ..unknown
        },
        unknown,
    ];
    for Case { name, catalog, game, version, code, setup } in table {
        let serving = Serving::with(Arc::new(UntouchedProvider), catalog, 2);
        setup(&serving.machine.games_dir());
        let (id, wanted): (GameId, GameVersion) = (game.parse().unwrap(), version.parse().unwrap());
        for request in [Request::Details { game: id.clone() }, Request::Totals { game: id, version: wanted }]
        {
            let reply = serving.ask(&request).await.unwrap();
            assert_eq!(refusal_code(&reply), Some(code), "{name}: {reply:?}");
        }
        let (mut connection, served) = serving.stream(game, version, 4096).await;
        match connection.receive_item().await.unwrap() {
            StreamItem::Control(StreamMessage::Failed(refusal)) => {
                assert_eq!(refusal.code.as_str(), code, "{name}");
                let told = refusal.message;
                let folder = serving.machine.games_dir();
                assert!(!told.contains(folder.to_str().unwrap()), "{name} tells a local path: {told}");
            }
            other => panic!("{name}: {other:?}"),
        }
        serving.assert_ends(served, name).await;
        match serving.ask(&Request::Games).await.unwrap() {
            Reply::Games { games, more: false } => {
                assert!(games.iter().all(|offer| offer.game.as_str() != game), "{name}: {games:?}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A version that is not the one here is refused where one is asked for.
#[tokio::test]
async fn another_version_is_refused() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    let request = Request::Totals { game: small_game::game(), version: "1".parse().unwrap() };
    assert_eq!(refusal_code(&serving.ask(&request).await.unwrap()), Some("other-version"));
    let (mut connection, _served) = serving.stream("small", "1", 4096).await;
    let item = connection.receive_item().await.unwrap();
    assert!(
        matches!(item, StreamItem::Control(StreamMessage::Failed(refusal)) if refusal.code == RefusalCode::OtherVersion)
    );
}

/// Of a game root only the sentinel and the archives directly in it are offered; what lies in `local/`, in staging, in
/// a backup or in our state is not, and neither is a game that exists only there.
#[tokio::test]
async fn nothing_of_the_user_s_or_ours_is_ever_offered() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    let games = serving.machine.games_dir();
    for folder in ["local", ".local.installing", ".local.backup", "extra.eti", "sub"] {
        let folder = serving.root("small").join(folder);
        std::fs::create_dir_all(folder.join("small")).unwrap();
        for file in ["secret.eti", "version.ini", "small/secret.eti", "small/version.ini"] {
            std::fs::write(folder.join(file), "1").unwrap();
        }
    }
    std::fs::write(serving.root("small").join("notes.txt"), "private").unwrap();
    for folder in [".lanspread", ".lanspread/receipts"] {
        std::fs::create_dir_all(games.join(folder)).unwrap();
        std::fs::write(games.join(folder).join("version.ini"), "1").unwrap();
        std::fs::write(games.join(folder).join("x.eti"), "1").unwrap();
    }
    match serving.ask(&Request::Games).await.unwrap() {
        Reply::Games { games, .. } => {
            let names: Vec<&str> = games.iter().map(|offer| offer.game.as_str()).collect();
            assert_eq!(names, ["small"]);
        }
        other => panic!("{other:?}"),
    }
    match serving.ask(&Request::Details { game: small_game::game() }).await.unwrap() {
        Reply::Details { files, .. } => {
            let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            assert_eq!(names, ["small.eti", "version.ini"]);
        }
        other => panic!("{other:?}"),
    }
}

/// A sentinel without an archive, and a volume set with a gap, are offered in lists but cannot be streamed.
#[tokio::test]
async fn what_is_not_whole_cannot_be_streamed() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    for (game, file, code) in
        [("empty", None, "not-offered"), ("gap", Some("gap.part2.eti"), "archive-damaged")]
    {
        std::fs::create_dir(serving.root(game)).unwrap();
        std::fs::write(serving.root(game).join("version.ini"), "1").unwrap();
        if let Some(file) = file {
            std::fs::write(serving.root(game).join(file), "Rar!").unwrap();
        }
        let (mut connection, _served) = serving.stream(game, "1", 4096).await;
        match connection.receive_item().await.unwrap() {
            StreamItem::Control(StreamMessage::Failed(refusal)) => assert_eq!(refusal.code.as_str(), code),
            other => panic!("{game}: {other:?}"),
        }
    }
}

/// Past the limit the answer is *busy*, at once; a place that is given back can be taken again.
#[tokio::test]
async fn past_the_stream_limit_the_answer_is_busy() {
    let (orders, provider) = told();
    let serving = Serving::with(provider, None, 1);
    for round in 0..3 {
        let (mut first, first_served) = serving.small_stream(4096).await;
        read_until_file(&mut first).await;
        assert_eq!(serving.source.active_transfers(), 1, "round {round}");
        let (mut second, second_served) = serving.small_stream(4096).await;
        match second.receive_item().await.unwrap() {
            StreamItem::Control(StreamMessage::Failed(refusal)) => {
                assert_eq!(refusal.code, RefusalCode::Busy);
            }
            other => panic!("{other:?}"),
        }
        serving.assert_ends(second_served, "busy").await;
        // The first one does not notice.
        orders.send(Order::Push(10)).unwrap();
        orders.send(Order::Push(limits::DATA_CHUNK_BYTES)).unwrap();
        read_until_data(&mut first).await;
        drop(first);
        serving.assert_ends(first_served, "the first stream").await;
        serving.assert_quiet("busy");
    }
}

// ---- Streams that end early ------------------------------------------------------------------------------------------

/// The receiver goes away: while the decoder is blocked on a full channel, while it pushes, and while it is silent.
/// Each time the stream ends, the decoder with it, and no count is left.
#[tokio::test]
async fn when_the_receiver_goes_the_decoder_goes() {
    for (name, order, buffer_bytes) in [
        ("blocked on a small pipe", Some(Order::Flood), 1024),
        ("blocked on a large pipe", Some(Order::Flood), 4 * limits::DATA_CHUNK_BYTES),
        ("something waits", Some(Order::Push(10)), 4096),
        ("silent", None, 4096),
    ] {
        let (orders, provider) = told();
        let serving = Serving::new(provider);
        let mut events = serving.source.events.subscribe();
        let (mut connection, served) = serving.small_stream(buffer_bytes).await;
        read_until_file(&mut connection).await;
        let flooded = matches!(order, Some(Order::Flood));
        if let Some(order) = order {
            orders.send(order).unwrap();
        }
        if flooded {
            read_until_data(&mut connection).await;
        }
        assert_eq!(serving.source.active_transfers(), 1, "{name}");
        drop(connection);
        serving.assert_ends(served, name).await;
        serving.assert_quiet(name);
        // The decoder was the only other owner: its thread is done with it.
        assert!(matches!(events.next().await, Some(PeerEvent::TransferBegin { .. })), "{name}");
        match events.next().await {
            Some(PeerEvent::TransferEnd { outcome, .. }) => {
                assert!(matches!(&*outcome, "receiver-gone" | "connection-lost"), "{name}: {outcome}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A stream that was delivered whole is reported as complete, however soon its receiver leaves behind the last frame.
#[tokio::test]
async fn a_delivered_stream_is_complete() {
    let serving = Serving::with(crate::archive::provider(&ProviderChoice::Native), None, 1);
    for round in 0..300 {
        let mut events = serving.source.events.subscribe();
        let (mut connection, served) = serving.small_stream(4096).await;
        while connection.receive_item().await.unwrap() != StreamItem::Control(StreamMessage::Complete) {}
        drop(connection);
        serving.assert_ends(served, "complete").await;
        serving.assert_quiet("complete");
        assert!(matches!(events.next().await, Some(PeerEvent::TransferBegin { .. })));
        match events.next().await {
            Some(PeerEvent::TransferEnd { outcome, bytes, .. }) => {
                assert_eq!((&*outcome, bytes), ("complete", small_game::totals().bytes), "round {round}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A receiver that speaks while it receives breaks the protocol and loses the stream.
#[tokio::test]
async fn a_receiver_that_speaks_during_its_stream_loses_it() {
    let (_orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(4096).await;
    read_until_file(&mut connection).await;
    connection.send(&Request::Status).await.unwrap();
    serving.assert_ends(served, "spoke").await;
    serving.assert_quiet("spoke");
}

/// A receiver that takes nothing any more, and stays, is given up when one frame cannot be written for too long.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_read_is_given_up() {
    let (orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(1024).await;
    read_until_file(&mut connection).await;
    orders.send(Order::Flood).unwrap();
    read_into_a_frame(&mut connection).await;
    // Time only moves on its own when no thread works; the decoder's does.
    let begun = Instant::now();
    while !served.is_finished() && begun.elapsed() < 3 * limits::FRAME_WRITE_DEADLINE {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    serving.assert_ends(served, "does not read").await;
    serving.assert_quiet("does not read");
    assert!(begun.elapsed() >= limits::FRAME_WRITE_DEADLINE);
}

/// A decoder that panics costs its own stream, which is told, and nothing else.
#[tokio::test]
async fn a_panicking_decoder_costs_one_stream() {
    let (orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(4096).await;
    read_until_file(&mut connection).await;
    orders.send(Order::Panic).unwrap();
    match read_to_end(&mut connection).await {
        (Some(StreamItem::Control(StreamMessage::Failed(refusal))), WireError::Closed) => {
            assert_eq!(refusal.code, RefusalCode::Internal);
        }
        other => panic!("{other:?}"),
    }
    serving.assert_ends(served, "panic").await;
    serving.assert_quiet("panic");
    assert!(matches!(serving.ask(&Request::Status).await, Ok(Reply::Status(_))), "it still serves");
}

/// While a decoder has nothing to say the source says that it lives, every interval, also before the first frame.
#[tokio::test(start_paused = true)]
async fn a_slow_decoder_is_covered_by_keep_alives() {
    let (orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(4096).await;
    read_until_file(&mut connection).await;
    let begun = Instant::now();
    for round in 1..=60 {
        // Time does not move on its own while the decoder's thread waits.
        tokio::time::advance(limits::KEEP_ALIVE_INTERVAL).await;
        let item = at_this_moment(connection.receive_item()).await;
        let item = item.unwrap_or_else(|| panic!("round {round}: it says nothing")).unwrap();
        assert_eq!(item, StreamItem::Control(StreamMessage::KeepAlive), "round {round}");
        assert_eq!(begun.elapsed(), round * limits::KEEP_ALIVE_INTERVAL, "one per interval");
    }
    assert!(begun.elapsed() > 5 * limits::STREAM_IDLE_DEADLINE, "far beyond what a receiver would wait");
    // And then it goes on where it was.
    orders.send(Order::Push(limits::DATA_CHUNK_BYTES)).unwrap();
    assert!(matches!(connection.receive_item().await.unwrap(), StreamItem::Data(_)));
    drop(connection);
    serving.assert_ends(served, "keep-alives").await;
    serving.assert_quiet("keep-alives");
}

// ---- Stopping --------------------------------------------------------------------------------------------------------

/// The source stops while its decoder is silent or has filled the pipe: the receiver reads whole frames to the last,
/// and the last one says why there are no more.
#[tokio::test]
async fn a_stopping_source_tells_its_receivers() {
    for flood in [false, true] {
        let (orders, provider) = told();
        let serving = Serving::new(provider);
        // Less than a frame: when the pipe is full, the source is in the middle of one.
        let (mut connection, served) = serving.small_stream(1024).await;
        read_until_file(&mut connection).await;
        if flood {
            orders.send(Order::Flood).unwrap();
            read_into_a_frame(&mut connection).await;
        }
        serving.stop.cancel();
        let (last, error) = read_to_end(&mut connection).await;
        match last {
            Some(StreamItem::Control(StreamMessage::Failed(refusal))) => {
                assert_eq!(refusal.code, RefusalCode::Stopping, "flood: {flood}");
            }
            other => {
                let kind = other.map(|item| std::mem::discriminant(&item));
                panic!("flood: {flood}: the receiver is not told but cut off: {error} after {kind:?}");
            }
        }
        serving.assert_ends(served, "stopping").await;
        serving.assert_quiet("stopping");
    }
}

/// A receiver that does not read cannot hold up a stopping source.
#[tokio::test]
async fn a_receiver_that_does_not_read_cannot_hold_up_a_stop() {
    let (orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(1024).await;
    read_until_file(&mut connection).await;
    orders.send(Order::Flood).unwrap();
    read_into_a_frame(&mut connection).await;
    serving.stop.cancel();
    let ended = timeout(limits::SHUTDOWN_DEADLINE, served).await;
    assert!(ended.is_ok(), "still there after {} s", limits::SHUTDOWN_DEADLINE.as_secs());
    serving.assert_quiet("stopping");
    drop(connection);
}

/// Nor can an asker that does not read its answer.
#[tokio::test]
async fn an_asker_that_does_not_read_cannot_hold_up_a_stop() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    for index in 0..200 {
        let root = serving.root(&format!("game-{index}"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("version.ini"), "a-version-of-some-length").unwrap();
    }
    let (mut near, served) = serving.connect(256);
    let question = control_frame(&codec::encode(&Request::Games).unwrap());
    near.write_all(&[introduction(), question].concat()).await.unwrap();
    // Its hello is as long as ours; one byte more and the answer is on its way.
    near.read_exact(&mut vec![0; introduction().len() + 1]).await.unwrap();
    serving.stop.cancel();
    let ended = timeout(limits::SHUTDOWN_DEADLINE, served).await;
    assert!(ended.is_ok(), "still there after {} s", limits::SHUTDOWN_DEADLINE.as_secs());
    serving.assert_quiet("stopping");
}

// ---- Real peers with a program that hangs ----------------------------------------------------------------------------

/// A peer that serves the small game through a program that lists well, prints some bytes and then hangs.
async fn hanging_peer(machine: &Machine, bytes: u64) -> (crate::Peer, std::net::SocketAddr) {
    small_game::download(&machine.games_dir());
    let program = programs::slow_unrar(&machine.games_dir(), bytes);
    let peer = machine.describe("source").provider(ProviderChoice::Unrar(program)).build().unwrap();
    let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    (peer, address)
}

async fn begin_stream(address: std::net::SocketAddr) -> crate::net::dial::Dialled {
    let mut dialled = dial(&address.into(), &hello("receiver")).await.unwrap();
    dialled.stream_install(&small_game::game(), &small_game::version()).await.unwrap();
    dialled
}

/// The process ids of so many running programs and of one child each.
async fn wait_for_programs(machine: &Machine, count: usize) -> Vec<u32> {
    let folder = machine.games_dir();
    programs::until("the program runs", || programs::pids(&folder).len() == 2 * count).await;
    programs::pids(&folder)
}

/// The receiver goes while an external program is silent: the program and its children are killed and reaped.
#[tokio::test]
async fn when_the_receiver_goes_the_program_is_killed() {
    let machine = Machine::new();
    let (peer, address) = hanging_peer(&machine, 3).await;
    let dialled = begin_stream(address).await;
    let pids = wait_for_programs(&machine, 1).await;
    assert_eq!(peer.active_outbound_transfers(), 1);
    drop(dialled);
    programs::until("the stream has ended", || peer.active_outbound_transfers() == 0).await;
    for pid in pids {
        programs::until("the program is gone", || programs::is_gone(pid)).await;
    }
    programs::until("only the listener is left", || peer.running_tasks() == 1).await;
    peer.shutdown().await.unwrap();
    assert_eq!(peer.running_tasks(), 0);
}

/// Shutting down a peer while it streams: every receiver is told, every program killed, and no task is left.
#[tokio::test]
async fn shutting_down_during_streams_tells_receivers_and_leaves_nothing() {
    let machine = Machine::new();
    let (peer, address) = hanging_peer(&machine, 3).await;
    let mut receivers = Vec::new();
    for _ in 0..3 {
        receivers.push(begin_stream(address).await);
    }
    for receiver in &mut receivers {
        let first = receiver.connection.receive_item().await.unwrap();
        assert!(matches!(first, StreamItem::Control(StreamMessage::Begin { .. })), "{first:?}");
    }
    let pids = wait_for_programs(&machine, 3).await;
    assert_eq!(peer.active_outbound_transfers(), 3);
    let idle = dial(&address.into(), &hello("idle")).await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!((peer.running_tasks(), peer.active_outbound_transfers()), (0, 0));
    for mut receiver in receivers {
        match read_to_end(&mut receiver.connection).await {
            (Some(StreamItem::Control(StreamMessage::Failed(refusal))), _) => {
                assert_eq!(refusal.code.as_str(), "source-stopping");
            }
            other => panic!("{other:?}"),
        }
    }
    for pid in pids {
        // Killed before the stream ended; the system takes its moment to bury it.
        programs::until("the program is gone", || programs::is_gone(pid)).await;
    }
    assert!(dial(&address.into(), &hello("late")).await.is_err(), "it listens no more");
    drop(idle);
}
