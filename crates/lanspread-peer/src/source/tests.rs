//! Serving over an in-memory pipe: bad bytes, refusals, streams whose receiver disappears, and stopping.
//!
//! Whatever happens on one connection, the others continue, and when it ends, no task, thread, child or count is left.
//! A connection in these tests is a counted task: when it has ended and nothing is counted, its decoder has ended as
//! well.

use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use lanspread_archive::ArchiveError;
use lanspread_archive::provider::{OpenArchive, ProviderChoice};
use lanspread_archive::set::ArchiveSet;
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{PROTOCOL_VERSION, Reply, Request, StreamItem, StreamMessage};
use lanspread_proto::{WireError, codec};
use lanspread_testing::fake_archive::FakeArchive;
use lanspread_testing::lying_source::{control_frame, opening, raw_frame};
use lanspread_testing::machine::Machine;
use lanspread_testing::small_game;
use lanspread_types::content::{EntryStep, FileEntry};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::report::event::PeerEvent;
use crate::testing::{dialled, endpoint, greeting, hello, pipe};
use crate::transport::dial::dial;

mod guests;
mod programs;
mod queue;
mod quiet;
mod requests;
mod streams;

/// Size of the one file that a [`ToldProvider`] lists: more than any pipe here holds.
const LISTED_BYTES: u64 = 1 << 40;

/// What a [`ToldProvider`] does next.
enum Order {
    /// Pushes this many bytes.
    Push(usize),
    /// Pushes until the sink takes no more.
    Flood,
    /// Panics, which a decoder must not do.
    Panic,
}

/// A provider that does nothing without an order. Like a real one, it soon notices that it is cancelled.
struct ToldProvider {
    orders: Arc<Mutex<mpsc::Receiver<Order>>>,
}

fn told() -> (mpsc::Sender<Order>, Arc<ToldProvider>) {
    let (sender, orders) = mpsc::channel();
    (sender, Arc::new(ToldProvider { orders: Arc::new(Mutex::new(orders)) }))
}

impl ToldProvider {
    fn file() -> FileEntry {
        let path = EntryPath::parse("endless.bin", NamePolicy::Portable).unwrap();
        FileEntry { path, size: LISTED_BYTES, checksum: None, modified: None, executable: false }
    }
}

impl ArchiveProvider for ToldProvider {
    fn open(
        &self,
        archive: &ArchiveSet,
        _: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        let orders = Arc::clone(&self.orders);
        Ok(FakeArchive::of_file(archive.name(), Self::file(), move |push, cancel| {
            let orders = orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let chunk = vec![7; limits::DATA_CHUNK_BYTES];
            loop {
                match orders.recv_timeout(Duration::from_millis(5)) {
                    Ok(Order::Push(bytes)) => push(EntryStep::Data(&chunk[..bytes]))?,
                    Ok(Order::Flood) => loop {
                        push(EntryStep::Data(&chunk))?;
                    },
                    Ok(Order::Panic) => panic!("ordered to"),
                    Err(mpsc::RecvTimeoutError::Timeout) if !cancel.is_cancelled() => {}
                    // Also when the test has ended: no thread outlives a failed test.
                    Err(_) => return Err(ArchiveError::Cancelled),
                }
            }
        }))
    }
}

/// A provider that must never be used.
struct UntouchedProvider;

impl ArchiveProvider for UntouchedProvider {
    fn open(&self, _: &ArchiveSet, _: &CancellationToken) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        unreachable!("a refused game is not opened")
    }
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
            Arc::new(LiveCatalog::load(Some(&path), None, EventSender::new()).unwrap())
        });
        let (events, tasks) = (EventSender::new(), Tasks::default());
        let source = Source::new(machine.games_dir(), catalog, provider, events, tasks, streams_max);
        Self { machine, source: Arc::new(source), stop: CancellationToken::new() }
    }

    fn root(&self, game: &str) -> std::path::PathBuf {
        self.machine.games_dir().join(game)
    }

    /// A new connection: our end, and the task that serves the other end.
    fn connect(&self, buffer_bytes: usize) -> (DuplexStream, JoinHandle<()>) {
        self.connect_from(1, buffer_bytes)
    }

    /// A new connection from the address with this last number.
    fn connect_from(&self, last: u8, buffer_bytes: usize) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(buffer_bytes);
        let (source, stop) = (Arc::clone(&self.source), self.stop.clone());
        let serving = self.source.tasks.spawn("connection", async move {
            handler::serve_from(&source, far, ([10, 0, 0, last], 1).into(), &hello("source"), &stop).await;
        });
        (near, serving)
    }

    /// A connection from an address, after hello.
    async fn guest(&self, last: u8) -> (Connection<DuplexStream>, JoinHandle<()>) {
        let (near, serving) = self.connect_from(last, 64 * 1024);
        (dialled(near, &hello("guest")).await.unwrap(), serving)
    }

    async fn ask(&self, request: &Request) -> Result<Reply, WireError> {
        let (near, _serving) = self.connect(64 * 1024);
        let mut connection = dialled(near, &hello("asker")).await?;
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
        let mut connection = dialled(near, &hello("receiver")).await.unwrap();
        let (game, version) = (game.parse().unwrap(), version.parse().unwrap());
        connection.send(&Request::StreamInstall { game, version }).await.unwrap();
        (connection, serving)
    }

    async fn small_stream(&self, buffer_bytes: usize) -> (Connection<DuplexStream>, JoinHandle<()>) {
        self.stream(small_game::game().as_str(), small_game::version().as_str(), buffer_bytes).await
    }

    /// Asserts that the connection ends by itself, and soon.
    async fn assert_ends(&self, serving: JoinHandle<()>, why: &str) {
        let ended = timeout(Duration::from_secs(20), serving).await;
        ended.unwrap_or_else(|_| panic!("the connection did not end: {why}")).unwrap();
    }

    /// No stream, connection or task is left.
    fn assert_quiet(&self, why: &str) {
        assert_eq!(self.source.active_transfers(), 0, "streams: {why}");
        assert_eq!(self.source.connections.load(Ordering::Relaxed), 0, "connections: {why}");
        assert_eq!(self.source.tasks.running(), 0, "tasks: {why}");
    }
}

/// Reads frames until the first data, which proves that the decoder runs.
async fn read_until_data(connection: &mut Connection<DuplexStream>) {
    loop {
        if let StreamItem::Data(_) = connection.receive_item().await.unwrap() {
            return;
        }
    }
}

/// Reads frames until the first data, and then until the next frame has begun to arrive. If the pipe holds less than a
/// frame, the source is now in the middle of one.
async fn read_into_a_frame(connection: &mut Connection<DuplexStream>) {
    read_until_data(connection).await;
    connection.gone().await;
}

/// Reads frames until a file begins.
async fn read_until_file(connection: &mut Connection<DuplexStream>) {
    loop {
        if let StreamItem::Control(StreamMessage::FileBegin { .. }) = connection.receive_item().await.unwrap()
        {
            return;
        }
    }
}

/// The same where time is paused, which does not advance by itself while the decoder's thread waits.
async fn read_until_file_while_paused(connection: &mut Connection<DuplexStream>) {
    let mut reading = std::pin::pin!(read_until_file(connection));
    while at_this_moment(&mut reading).await.is_none() {
        tokio::time::advance(limits::STREAM_BATCH_WAIT).await;
    }
}

/// The result of a future without time passing, after all other tasks have had many turns. A deadline does not help
/// where time is paused.
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

/// Reads all frames; returns the last one and the error that ended them.
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
    greeting(&pipe().0, &hello("client"))
}

fn refusal_code(reply: &Reply) -> Option<&'static str> {
    match reply {
        Reply::Refused(refusal) => Some(refusal.code.as_str()),
        _ => None,
    }
}
