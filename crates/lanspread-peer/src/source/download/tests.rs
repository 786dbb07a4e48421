//! Serving chunks over an in-memory pipe: requested chunks arrive, nothing else can be requested, a changed file is
//! reported, and nothing is ever left running.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use lanspread_archive::provider::ProviderChoice;
use lanspread_proto::chunk::{ChunkItem, ChunkMessage};
use lanspread_proto::message::Request;
use lanspread_testing::machine::Machine;
use lanspread_types::checksum::Checksum;
use lanspread_types::content::RootFile;
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::handler;
use super::*;
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::testing::{dialled, hello};

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| u8::try_from(place * 7 % 251).unwrap()).collect()
}

struct Serving {
    machine: Machine,
    source: Arc<Source>,
    stop: CancellationToken,
}

impl Serving {
    fn new(streams_max: usize) -> Self {
        let machine = Machine::new();
        let root = machine.games_dir().join("g");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a.eti"), content(1_000_000)).unwrap();
        std::fs::write(root.join("empty.eti"), "").unwrap();
        std::fs::write(root.join("version.ini"), "1").unwrap();
        std::fs::write(root.join("secret.txt"), "not offered").unwrap();
        let provider = lanspread_archive::provider(&ProviderChoice::Native);
        let (events, tasks) = (EventSender::new(), Tasks::default());
        let source = Source::new(machine.games_dir(), None, provider, events, tasks, streams_max);
        Self { machine, source: Arc::new(source), stop: CancellationToken::new() }
    }

    fn connect(&self, buffer_bytes: usize) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(buffer_bytes);
        let (source, stop) = (Arc::clone(&self.source), self.stop.clone());
        let serving = self.source.tasks.spawn("connection", async move {
            handler::serve(&source, far, &hello("pc"), &stop).await;
        });
        (near, serving)
    }

    async fn request(
        &self,
        version: &str,
        buffer_bytes: usize,
    ) -> (Connection<DuplexStream>, JoinHandle<()>) {
        let (near, serving) = self.connect(buffer_bytes);
        let mut connection = dialled(near, &hello("pc")).await.unwrap();
        let request = Request::Download { game: "g".parse().unwrap(), version: version.parse().unwrap() };
        connection.send(&request).await.unwrap();
        (connection, serving)
    }

    /// A download that has begun, with the files that the source announced.
    async fn begin(
        &self,
        buffer_bytes: usize,
    ) -> (Connection<DuplexStream>, JoinHandle<()>, Vec<DownloadFile>) {
        let (mut connection, serving) = self.request("1", buffer_bytes).await;
        match reply(&mut connection).await {
            Reply::DownloadReady { files, more: false } => (connection, serving, files),
            other => panic!("{other:?}"),
        }
    }

    async fn assert_over(
        &self,
        serving: JoinHandle<()>,
        outcome: &str,
        mut events: crate::report::channel::PeerEvents,
    ) {
        tokio::time::timeout(Duration::from_secs(20), serving).await.expect("the download ends").unwrap();
        assert_eq!((self.source.active_transfers(), self.source.tasks.running()), (0, 0), "{outcome}");
        let ends = std::iter::from_fn(|| events.try_next()).filter_map(|event| match event {
            PeerEvent::TransferEnd { outcome, .. } => Some(outcome.into_owned()),
            _ => None,
        });
        assert_eq!(ends.collect::<Vec<_>>(), [outcome]);
    }
}

async fn reply(connection: &mut Connection<DuplexStream>) -> Reply {
    connection.receive("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap()
}

async fn ask(connection: &mut Connection<DuplexStream>, file: u32, offset: u64, length: u64) {
    connection.send(&ChunkRequest { file, offset, length }).await.unwrap();
}

/// The bytes of a chunk and the message after them.
async fn answer(connection: &mut Connection<DuplexStream>) -> (Vec<u8>, ChunkMessage) {
    let mut bytes = Vec::new();
    loop {
        match connection.halves().0.item(BytesMut::new()).await.unwrap() {
            ChunkItem::Data(data) => bytes.extend_from_slice(&data),
            ChunkItem::Control(ChunkMessage::KeepAlive) => {}
            ChunkItem::Control(message) => return (bytes, message),
        }
    }
}

#[tokio::test]
async fn chunks_arrive_in_the_order_of_their_requests_with_their_checksums() {
    let serving = Serving::new(1);
    let events = serving.source.events.subscribe();
    let (mut connection, served, files) = serving.begin(64 * 1024).await;
    let names: Vec<&str> = files.iter().map(|file| file.file.name.as_str()).collect();
    assert_eq!(names, ["a.eti", "empty.eti", "version.ini"]);
    let whole = content(1_000_000);
    let parts = [(500_000_usize, 500_000_usize), (0, 500_000), (999_999, 1)];
    for (offset, length) in parts {
        ask(&mut connection, 0, offset as u64, length as u64).await;
    }
    ask(&mut connection, 2, 0, 1).await;
    for (offset, length) in parts {
        let expected = &whole[offset..offset + length];
        let (bytes, end) = answer(&mut connection).await;
        assert!(bytes == expected, "{length} bytes at {offset}");
        assert_eq!(end, ChunkMessage::End { checksum: Checksum::of(expected) });
    }
    assert_eq!(answer(&mut connection).await.0, b"1");
    drop(connection);
    serving.assert_over(served, "complete", events).await;
}

/// A receiver can ask only for bytes of the announced files.
#[tokio::test]
async fn a_request_that_is_not_allowed_is_refused_and_ends_the_download() {
    for (file, offset, length) in [
        (3, 0, 1),
        (u32::MAX, 0, 1),
        (0, 0, 0),
        (0, 0, limits::CHUNK_BYTES + 1),
        (0, 999_999, 2),
        (0, 1_000_000, 1),
        (0, u64::MAX, 2),
        (1, 0, 1),
    ] {
        let serving = Serving::new(1);
        let events = serving.source.events.subscribe();
        let (mut connection, served, _) = serving.begin(64 * 1024).await;
        ask(&mut connection, file, offset, length).await;
        match answer(&mut connection).await {
            (bytes, ChunkMessage::Failed(refusal)) => {
                assert_eq!(
                    (bytes.len(), refusal.code),
                    (0, RefusalCode::BadRequest),
                    "{file} {offset} {length}"
                );
            }
            other => panic!("{other:?}"),
        }
        serving.assert_over(served, "bad-request", events).await;
    }
}

#[tokio::test]
async fn what_may_not_be_served_is_refused_and_places_are_bounded() {
    let serving = Serving::new(1);
    let (mut held, _served, _) = serving.begin(1000).await;
    // A download that owes something keeps its place.
    ask(&mut held, 0, 0, 1_000_000).await;
    held.gone().await;
    let (mut second, _) = serving.request("1", 64 * 1024).await;
    assert!(matches!(reply(&mut second).await, Reply::Queued(position) if position.ahead == 0));
    let serving = Serving::new(1);
    let (mut other, _) = serving.request("2", 64 * 1024).await;
    assert!(
        matches!(reply(&mut other).await, Reply::Refused(refusal) if refusal.code == RefusalCode::OtherVersion)
    );
    std::fs::remove_file(serving.machine.games_dir().join("g/version.ini")).unwrap();
    let (mut gone, _) = serving.request("1", 64 * 1024).await;
    assert!(
        matches!(reply(&mut gone).await, Reply::Refused(refusal) if refusal.code == RefusalCode::NotOffered)
    );
}

/// Written in place, replaced by another file of the same size, shorter, gone, a pipe: the chunk is never reported as
/// whole.
#[tokio::test]
async fn a_changed_file_is_reported_and_its_chunk_is_never_whole() {
    type Change = fn(&Path);
    let changes: [(&str, &str, Change); 5] = [
        ("written in place", "source-changed", |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_at(b"changed", 5).unwrap();
        }),
        ("replaced", "source-changed", |path| {
            let beside = path.with_extension("new");
            std::fs::write(&beside, content(1_000_000)).unwrap();
            std::fs::rename(beside, path).unwrap();
        }),
        ("shorter", "source-changed", |path| {
            OpenOptions::new().write(true).open(path).unwrap().set_len(10).unwrap();
        }),
        ("gone", "source-internal", |path| std::fs::remove_file(path).unwrap()),
        ("a pipe", "source-changed", |path| {
            std::fs::remove_file(path).unwrap();
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
    ];
    for (name, code, change) in changes {
        // Changed before the file is opened for the first chunk, and while it is open.
        for chunks_before in [0, 1] {
            let serving = Serving::new(1);
            let events = serving.source.events.subscribe();
            let (mut connection, served, files) = serving.begin(64 * 1024).await;
            for _ in 0..chunks_before {
                ask(&mut connection, 0, 0, 1000).await;
                assert!(matches!(answer(&mut connection).await.1, ChunkMessage::End { .. }));
            }
            change(&serving.machine.games_dir().join("g/a.eti"));
            ask(&mut connection, 0, 0, 1_000_000).await;
            let code = if chunks_before > 0 { "source-changed" } else { code };
            match answer(&mut connection).await.1 {
                ChunkMessage::Failed(refusal) => assert_eq!(refusal.code.as_str(), code, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
            serving.assert_over(served, code, events).await;
            if name != "gone" && name != "a pipe" && name != "shorter" {
                let (_, _, again) = serving.begin(64 * 1024).await;
                assert_ne!(again[0].fingerprint, files[0].fingerprint, "{name}");
                assert_eq!(again[2].fingerprint, files[2].fingerprint, "{name}");
            }
        }
    }
}

/// In the middle of a frame or of a chunk, the reader ends with its receiver.
#[tokio::test]
async fn a_receiver_that_disappears_leaves_nothing_running() {
    for frames in [0, 1, 2] {
        let serving = Serving::new(1);
        let events = serving.source.events.subscribe();
        let (mut connection, served, _) = serving.begin(1000).await;
        ask(&mut connection, 0, 0, 1_000_000).await;
        for _ in 0..frames {
            connection.halves().0.item::<ChunkMessage>(BytesMut::new()).await.unwrap();
        }
        connection.gone().await;
        drop(connection);
        // The outcome depends on which side of the connection notices it first.
        tokio::time::timeout(Duration::from_secs(20), served).await.expect("the download ends").unwrap();
        assert_eq!((serving.source.active_transfers(), serving.source.tasks.running()), (0, 0));
        drop(events);
    }
}

#[tokio::test]
async fn bytes_that_are_not_a_request_end_the_download() {
    let serving = Serving::new(1);
    let events = serving.source.events.subscribe();
    let (near, served) = serving.connect(64 * 1024);
    let mut near = {
        let mut connection = dialled(near, &hello("pc")).await.unwrap();
        let request = Request::Download { game: "g".parse().unwrap(), version: "1".parse().unwrap() };
        connection.send(&request).await.unwrap();
        reply(&mut connection).await;
        connection.send(&Request::Status).await.unwrap();
        connection
    };
    assert!(near.halves().0.item::<ChunkMessage>(BytesMut::new()).await.is_err());
    serving.assert_over(served, "protocol-violation", events).await;
}

#[tokio::test(start_paused = true)]
async fn a_download_without_requests_gives_its_place_back() {
    let serving = Serving::new(1);
    let events = serving.source.events.subscribe();
    let (connection, served, _) = serving.begin(64 * 1024).await;
    // Paused time does not advance by itself while the reader's thread waits.
    tokio::time::advance(limits::REQUEST_IDLE_DEADLINE / 2).await;
    assert!(!served.is_finished());
    tokio::time::advance(limits::REQUEST_IDLE_DEADLINE).await;
    serving.assert_over(served, "timeout", events).await;
    drop(connection);
}

/// Between two chunks and in the middle of one: the receiver learns why, after a whole frame.
#[tokio::test]
async fn a_stopping_source_says_so_and_leaves_nothing_running() {
    for length in [0, 1_000_000] {
        let serving = Serving::new(1);
        let events = serving.source.events.subscribe();
        let (mut connection, served, _) = serving.begin(1000).await;
        if length > 0 {
            ask(&mut connection, 0, 0, length).await;
            connection.gone().await;
        }
        serving.stop.cancel();
        match answer(&mut connection).await.1 {
            ChunkMessage::Failed(refusal) => assert_eq!(refusal.code, RefusalCode::Stopping),
            other => panic!("{other:?}"),
        }
        serving.assert_over(served, "source-stopping", events).await;
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_read_holds_up_a_stopping_source_only_briefly() {
    let serving = Serving::new(1);
    let events = serving.source.events.subscribe();
    let (near, served) = serving.connect(1000);
    let mut connection = dialled(near, &hello("pc")).await.unwrap();
    let request = Request::Download { game: "g".parse().unwrap(), version: "1".parse().unwrap() };
    connection.send(&request).await.unwrap();
    reply(&mut connection).await;
    ask(&mut connection, 0, 0, 1_000_000).await;
    connection.gone().await;
    serving.stop.cancel();
    tokio::time::timeout(limits::SHUTDOWN_DEADLINE, served).await.expect("the source ends in time").unwrap();
    assert_eq!(serving.source.tasks.running(), 0);
    drop(events);
    // Half a frame may be all that arrived; nothing follows it.
    let (mut incoming, mut rest) = (connection.halves().0, 0);
    while incoming.item::<ChunkMessage>(BytesMut::new()).await.is_ok() {
        rest += 1;
    }
    assert!(rest <= 1);
}

/// What happens to a file while it is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Stays,
    ChangedBefore,
    /// Its bytes are whole, but it is no longer the announced one when the last of them has been read.
    ChangedMeanwhile,
    /// It ends before its announced end, and says that it has not changed.
    Ends,
}

/// One file of many frames with a fate.
struct FatedFile {
    files: Vec<DownloadFile>,
    fate: Fate,
    read: u64,
}

const FATED_BYTES: u64 = 3 * limits::DATA_CHUNK_BYTES as u64;

impl FatedFile {
    fn new(fate: Fate) -> Self {
        let file = RootFile { name: "a.eti".to_owned(), size: FATED_BYTES };
        Self { files: vec![DownloadFile { file, fingerprint: 1 }], fate, read: 0 }
    }
}

impl ServedChunks for FatedFile {
    fn files(&self) -> &[DownloadFile] {
        &self.files
    }

    fn read_at(&mut self, _: usize, _: u64, buffer: &mut [u8]) -> Result<usize, Refusal> {
        if self.fate == Fate::Ends && self.read > 0 {
            return Ok(0);
        }
        buffer.fill(7);
        self.read += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn check_unchanged(&mut self, file: usize) -> Result<(), Refusal> {
        let is_changed = match self.fate {
            Fate::Stays | Fate::Ends => false,
            Fate::ChangedBefore => true,
            Fate::ChangedMeanwhile => self.read > 0,
        };
        if is_changed { Err(changed(&self.files[file].file)) } else { Ok(()) }
    }
}

/// Before, while and after a chunk is read: if its file is not the announced one throughout, the chunk is never whole,
/// and nothing is sent of a file that had changed before.
#[test]
fn a_chunk_is_whole_only_if_its_file_is_the_same_throughout() {
    for (fate, frames, whole) in [
        (Fate::Stays, 3, true),
        (Fate::ChangedBefore, 0, false),
        (Fate::ChangedMeanwhile, 3, false),
        (Fate::Ends, 1, false),
    ] {
        let (items, mut queue) = mpsc::channel(limits::CHUNK_QUEUE_ITEMS);
        let (requests, wanted) = mpsc::channel(1);
        requests.try_send(ChunkRequest { file: 0, offset: 0, length: FATED_BYTES }).unwrap();
        drop(requests);
        let reader = Reader { chunks: FatedFile::new(fate), items, buffers: Arc::default() };
        let reading = std::thread::spawn(move || reader.run(wanted));
        let mut got = 0;
        let last = loop {
            match queue.blocking_recv().unwrap() {
                Item::Data { length, .. } => {
                    assert!(length > 0 && got < 3, "{fate:?}: bytes that are not there");
                    got += 1;
                }
                Item::Control(message) => break message,
            }
        };
        assert_eq!(got, frames, "{fate:?}");
        match last {
            ChunkMessage::End { .. } => assert!(whole, "{fate:?}"),
            ChunkMessage::Failed(refusal) => {
                assert!(!whole, "{fate:?}");
                assert_eq!(refusal.code, RefusalCode::Changed, "{fate:?}");
            }
            ChunkMessage::KeepAlive => panic!("{fate:?}"),
        }
        reading.join().unwrap();
    }
}

/// The time in which a source reads its disk or its receiver is served is not held against the receiver; the time in
/// which nothing is owed is.
#[tokio::test(start_paused = true)]
async fn only_time_in_which_nothing_is_owed_counts_against_a_receiver() {
    let owed = Owed::default();
    for _ in 0..100 {
        assert!(owed.asked());
        tokio::time::advance(limits::RECEIVER_WINDOW).await;
        assert!(owed.sent(Duration::ZERO, 1, true), "it waits for the disk of the source");
    }
    assert!(owed.asked() && owed.asked());
    assert!(owed.sent(Duration::ZERO, 1, true));
    tokio::time::advance(limits::RECEIVER_WINDOW).await;
    assert!(owed.asked(), "one chunk was still owed");
    assert!(owed.sent(Duration::ZERO, 1, true) && owed.sent(Duration::ZERO, 1, true));
    assert_eq!(owed.chunks(), 0);
    tokio::time::advance(limits::RECEIVER_WINDOW).await;
    assert!(!owed.asked());
    assert!(!owed.sent(limits::RECEIVER_WINDOW, 1, false), "nor may it take this long to read what is sent");
}
