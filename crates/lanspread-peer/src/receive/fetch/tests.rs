//! One source over an in-memory pipe that is honest except for one thing. The receiver accepts whole chunks or refuses
//! them, and accepts nothing that it did not request.

use std::time::Duration;

use lanspread_proto::codec;
use lanspread_proto::message::{DownloadFile, Refusal, RefusalCode};
use lanspread_store::state::chunks::Chunks;
use lanspread_testing::lying_source::{control_frame, raw_frame};
use lanspread_types::checksum::Checksum;
use lanspread_types::fault::ContentError;
use lanspread_types::ids::PeerId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::receive::chunk_source::FetchError;
use crate::testing::{dialled, greeting, hello, pipe};
use crate::traffic::Meter;

fn file(name: &str, size: u64) -> RootFile {
    RootFile { name: name.to_owned(), size }
}

fn data(bytes: &[u8]) -> Vec<u8> {
    raw_frame(1, bytes)
}

fn say(message: &ChunkMessage) -> Vec<u8> {
    control_frame(&codec::encode(message).unwrap())
}

fn end(bytes: &[u8]) -> Vec<u8> {
    say(&ChunkMessage::End { checksum: Checksum::of(bytes) })
}

/// The receiver's connection, and the other end of the pipe after the hellos.
async fn connected() -> (Connection<DuplexStream>, DuplexStream) {
    let (near, mut far) = duplex(64 * 1024);
    far.write_all(&greeting(&pipe().1, &hello("theirs"))).await.unwrap();
    (dialled(near, &hello("ours")).await.unwrap(), far)
}

/// Fetches two chunks, of 6 and 4 bytes, from a source that sends `said`. Returns the result, and the bytes and the
/// number of whole chunks that reached the writer.
async fn fetched(said: Vec<u8>, closes: bool) -> (Result<(), FetchError>, Vec<u8>, usize) {
    let (mut connection, mut far) = connected().await;
    let chunks = Chunks::of(&[file("a.eti", 10)], 6);
    let agreement = Agreement { numbers: vec![3], fingerprints: vec![1] };
    let (orders, mut ordered) = mpsc::channel(2);
    chunks.all().iter().for_each(|chunk| orders.try_send(*chunk).unwrap());
    drop(orders);
    let (steps, mut queue) = mpsc::channel(100);
    let (buffers, arrivals, meter) = (Buffers::default(), Arrivals::default(), Meter::unlimited());
    let fetching = fetch(&mut connection, &agreement, &mut ordered, steps, &buffers, (&arrivals, &meter));
    let saying = async {
        far.write_all(&said).await.unwrap();
        if closes {
            far.shutdown().await.unwrap();
        }
    };
    let (result, ()) = tokio::join!(fetching, saying);
    drop(connection);
    let (mut bytes, mut whole) = (Vec::new(), 0);
    while let Ok(step) = queue.try_recv() {
        match step {
            ChunkWrite::Data { offset, data, .. } => {
                assert_eq!(offset, bytes.len() as u64, "bytes are written at their offsets");
                bytes.extend_from_slice(&data);
            }
            ChunkWrite::End { chunk, checksum } => {
                let begin = usize::try_from(chunk.offset).unwrap();
                assert_eq!(checksum, Checksum::of(&bytes[begin..]));
                whole += 1;
            }
        }
    }
    // After the hello, both requests were sent.
    let mut asked = Vec::new();
    far.read_to_end(&mut asked).await.unwrap();
    let request =
        |offset, length| control_frame(&codec::encode(&ChunkRequest { file: 3, offset, length }).unwrap());
    assert!(asked.ends_with(&[request(0, 6), request(6, 4)].concat()));
    (result, bytes, whole)
}

fn honest() -> Vec<u8> {
    let keep_alive = say(&ChunkMessage::KeepAlive);
    [data(b"012"), keep_alive, data(b"345"), end(b"012345"), data(b"6789"), end(b"6789")].concat()
}

#[tokio::test]
async fn chunks_are_requested_ahead_and_accepted_in_order() {
    let (result, bytes, whole) = fetched(honest(), false).await;
    result.unwrap();
    assert_eq!((&bytes[..], whole), (&b"0123456789"[..], 2));
}

/// Every lie has its code, and no incomplete chunk is passed on as whole.
#[tokio::test]
async fn anything_but_the_requested_chunks_is_refused() {
    let refusal = |code| say(&ChunkMessage::Failed(Refusal::new(code, "no")));
    let table: Vec<(&str, Vec<u8>, &str, usize)> = vec![
        ("too long", [data(b"0123456"), end(b"0123456")].concat(), "totals-mismatch", 0),
        ("too long in small pieces", data(b"x").repeat(7), "totals-mismatch", 0),
        ("too short", [data(b"01234"), end(b"01234")].concat(), "totals-mismatch", 0),
        ("nothing", end(b""), "totals-mismatch", 0),
        ("a refusal at once", refusal(RefusalCode::Changed), "source-changed", 0),
        (
            "a refusal in the middle",
            [data(b"01"), refusal(RefusalCode::Stopping)].concat(),
            "source-stopping",
            0,
        ),
        (
            "a refusal between two",
            [data(b"012345"), end(b"012345"), refusal(RefusalCode::Internal)].concat(),
            "source-internal",
            1,
        ),
        ("an empty frame", raw_frame(1, b""), "protocol-violation", 0),
        ("an endless frame", vec![0xff, 0xff, 0xff, 0xff, 1], "protocol-violation", 0),
        ("an unknown kind", raw_frame(9, b"x"), "protocol-violation", 0),
        ("an unknown message", control_frame(&[99]), "protocol-violation", 0),
        ("trailing bytes", control_frame(&[2, 0]), "protocol-violation", 0),
    ];
    for (name, said, code, whole_expected) in table {
        let (result, _, whole) = fetched(said, false).await;
        let error = result.unwrap_err();
        assert_eq!((error.code(), whole), (code, whole_expected), "{name}: {error}");
    }
}

/// Data after the last chunk, when no chunk is requested.
#[tokio::test]
async fn data_that_was_not_requested_ends_the_source() {
    for (said, code) in [(data(b"x"), "protocol-violation"), (Vec::new(), "connection-lost")] {
        let (mut connection, mut far) = connected().await;
        let (_orders, mut ordered) = mpsc::channel(2);
        let (steps, _queue) = mpsc::channel(2);
        let agreement = Agreement { numbers: Vec::new(), fingerprints: Vec::new() };
        far.write_all(&said).await.unwrap();
        far.shutdown().await.unwrap();
        let (buffers, arrivals, meter) = (Buffers::default(), Arrivals::default(), Meter::unlimited());
        let fetching = fetch(&mut connection, &agreement, &mut ordered, steps, &buffers, (&arrivals, &meter));
        assert_eq!(fetching.await.unwrap_err().code(), code);
    }
}

/// Also while the source waits for orders: the writer may find a chunk wrong after its last byte.
#[tokio::test]
async fn a_source_ends_with_its_writer() {
    let (mut connection, _far) = connected().await;
    let (_orders, mut ordered) = mpsc::channel(2);
    let (steps, queue) = mpsc::channel(2);
    drop(queue);
    let agreement = Agreement { numbers: Vec::new(), fingerprints: Vec::new() };
    let (buffers, arrivals, meter) = (Buffers::default(), Arrivals::default(), Meter::unlimited());
    let fetching = fetch(&mut connection, &agreement, &mut ordered, steps, &buffers, (&arrivals, &meter));
    assert!(matches!(fetching.await, Err(FetchError::WriterStopped)));
}

/// The connection is cut, or stalls, at any byte.
#[tokio::test(start_paused = true)]
async fn a_cut_or_a_stall_at_any_byte_is_noticed_in_time() {
    let whole_bytes = honest().len();
    for at in 0..whole_bytes {
        let (result, _, whole) = fetched(honest()[..at].to_vec(), true).await;
        assert_eq!(result.unwrap_err().code(), "connection-lost", "cut at {at}");
        assert!(whole < 2);
        let begun = Instant::now();
        let (result, _, whole) = fetched(honest()[..at].to_vec(), false).await;
        assert_eq!(result.unwrap_err().code(), "timeout", "stalled at {at}");
        assert!(begun.elapsed() <= limits::FRAME_DEADLINE + Duration::from_secs(1));
        assert!(whole < 2);
    }
}

#[tokio::test(start_paused = true)]
async fn keep_alives_without_progress_end_in_time() {
    let (mut connection, mut far) = connected().await;
    let chunk = Chunks::of(&[file("a.eti", 10)], 6).all()[0];
    let (steps, _queue) = mpsc::channel(2);
    let (orders, mut ordered) = mpsc::channel(2);
    orders.try_send(chunk).unwrap();
    let agreement = Agreement { numbers: vec![0], fingerprints: vec![0] };
    let keeping_alive = async {
        loop {
            tokio::time::sleep(limits::KEEP_ALIVE_INTERVAL).await;
            far.write_all(&say(&ChunkMessage::KeepAlive)).await.unwrap();
        }
    };
    let (buffers, arrivals, meter) = (Buffers::default(), Arrivals::default(), Meter::unlimited());
    let begun = Instant::now();
    let result = tokio::select! {
        result = fetch(&mut connection, &agreement, &mut ordered, steps, &buffers, (&arrivals, &meter)) => result,
        () = keeping_alive => unreachable!(),
    };
    assert_eq!(result.unwrap_err().code(), "timeout");
    assert!(begun.elapsed() <= limits::STREAM_STALL_DEADLINE + 2 * limits::KEEP_ALIVE_INTERVAL);
}

/// The replies of a source, and the agreement or the code of the refusal.
type Agreeing = (Vec<Reply>, Result<(Vec<u32>, Vec<u64>), &'static str>);

/// The files that a source reports, in any order, are compared with those of the download.
#[tokio::test]
async fn a_source_whose_files_have_changed_is_refused() {
    let ours = [file("a.eti", 3), file("version.ini", 1)];
    let offered = |file: &RootFile, fingerprint| DownloadFile { file: file.clone(), fingerprint };
    let (a, sentinel) = (offered(&ours[0], 10), offered(&ours[1], 20));
    let other = offered(&file("a.eti", 4), 10);
    let queued = Reply::Queued(QueuePosition { ahead: 3, in_ms: None });
    let ready = |files: Vec<DownloadFile>, more| Reply::DownloadReady { files, more };
    let table: Vec<Agreeing> = vec![
        (vec![ready(vec![a.clone(), sentinel.clone()], false)], Ok((vec![0, 1], vec![10, 20]))),
        (
            vec![ready(vec![sentinel.clone()], true), ready(vec![a.clone()], false)],
            Ok((vec![1, 0], vec![10, 20])),
        ),
        (vec![ready(vec![other, sentinel.clone()], false)], Err("protocol-violation")),
        (vec![ready(vec![sentinel.clone()], false)], Err("protocol-violation")),
        (vec![ready(vec![a.clone(), sentinel.clone(), a.clone()], false)], Err("protocol-violation")),
        (
            vec![ready(vec![a.clone(), sentinel.clone()], true), ready(vec![a.clone()], true)],
            Err("protocol-violation"),
        ),
        (
            vec![ready(Vec::new(), true), ready(vec![a.clone(), sentinel.clone()], false)],
            Err("protocol-violation"),
        ),
        (vec![Reply::Games { revision: 1, games: Vec::new(), more: false }], Err("protocol-violation")),
        (vec![Reply::Refused(Refusal::new(RefusalCode::Busy, ""))], Err("busy")),
        (vec![], Err("connection-lost")),
        (
            [vec![queued.clone(); 3], vec![ready(vec![a, sentinel], false)]].concat(),
            Ok((vec![0, 1], vec![10, 20])),
        ),
        (
            [vec![queued.clone(); 3], vec![Reply::Refused(Refusal::new(RefusalCode::Busy, ""))]].concat(),
            Err("busy"),
        ),
        (vec![queued; 1000], Err("protocol-violation")),
    ];
    for (replies, expected) in table {
        let (connection, mut far) = connected().await;
        for reply in &replies {
            far.write_all(&control_frame(&codec::encode(reply).unwrap())).await.unwrap();
        }
        far.shutdown().await.unwrap();
        let (game, version) = ("g".parse().unwrap(), "1".parse().unwrap());
        let wanted = Wanted { game: &game, version: &version, files: &ours };
        let agreed = PeerChunks::agree(connection, Meter::unlimited(), wanted, |_| {}).await;
        let agreed = agreed.map(|open| (open.agreement.numbers, open.agreement.fingerprints));
        assert_eq!(
            agreed.as_ref().map_err(WireError::code),
            expected.as_ref().map_err(|code| *code),
            "{replies:?}"
        );
    }
}

/// A list of many small parts has one deadline, not one for each part.
#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_end_is_given_up_at_one_deadline() {
    let (connection, mut far) = connected().await;
    let files: Vec<RootFile> =
        (0..limits::ROOT_FILES_MAX).map(|number| file(&format!("{number}.eti"), 1)).collect();
    let telling = async {
        for file in &files {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let part = vec![DownloadFile { file: file.clone(), fingerprint: 1 }];
            let part = Reply::DownloadReady { files: part, more: true };
            far.write_all(&control_frame(&codec::encode(&part).unwrap())).await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let (game, version) = ("g".parse().unwrap(), "1".parse().unwrap());
    let wanted = Wanted { game: &game, version: &version, files: &files };
    let begun = Instant::now();
    let agreed = tokio::select! {
        agreed = PeerChunks::agree(connection, Meter::unlimited(), wanted, |_| {}) => agreed,
        () = telling => unreachable!(),
    };
    assert_eq!(agreed.err().map(|error| error.code()), Some("timeout"));
    assert!(begun.elapsed() <= limits::REPLY_DEADLINE + Duration::from_millis(2));
}

#[test]
fn a_source_is_tried_again_after_passing_faults_but_not_after_lies() {
    let refused = |code| FetchError::Wire(WireError::Refused(Refusal::new(code, "")));
    let turned_away = FetchError::Wire(WireError::TurnedAway { peer: PeerId::of_key(&[1; 32]) });
    for error in [
        FetchError::Wire(WireError::Closed),
        turned_away,
        refused(RefusalCode::Busy),
        refused(RefusalCode::Changed),
    ] {
        assert!(error.may_pass(), "{error:?}");
    }
    let checksum =
        ContentError::Checksum { path: String::new(), expected: Checksum::of(b"1"), got: Checksum::of(b"2") };
    for error in [
        FetchError::Wire(WireError::OtherKey {
            expected: PeerId::of_key(&[1; 32]),
            got: PeerId::of_key(&[2; 32]),
        }),
        FetchError::Wire(WireError::Malformed(String::new())),
        FetchError::Content(checksum),
        refused(RefusalCode::OtherVersion),
        refused(RefusalCode::BadRequest),
    ] {
        assert!(!error.may_pass(), "{error:?}");
    }
}

/// A turn may come after hours, and each word about it is handed on. Between two words the source must not be silent.
#[tokio::test(start_paused = true)]
async fn a_source_of_chunks_is_waited_for_as_long_as_it_says_so() {
    let files = [file("a.eti", 3)];
    let (game, version) = ("g".parse().unwrap(), "1".parse().unwrap());
    let wanted = Wanted { game: &game, version: &version, files: &files };
    for is_silent in [false, true] {
        let (connection, mut far) = connected().await;
        let telling = async {
            for ahead in (0..1800).rev() {
                let word = Reply::Queued(QueuePosition { ahead, in_ms: None });
                far.write_all(&control_frame(&codec::encode(&word).unwrap())).await.unwrap();
                tokio::time::sleep(limits::KEEP_ALIVE_INTERVAL).await;
            }
            if is_silent {
                std::future::pending::<()>().await;
            }
            let list = vec![DownloadFile { file: files[0].clone(), fingerprint: 1 }];
            let list = Reply::DownloadReady { files: list, more: false };
            far.write_all(&control_frame(&codec::encode(&list).unwrap())).await.unwrap();
            std::future::pending::<()>().await;
        };
        let mut heard = Vec::new();
        let agreed = tokio::select! {
            agreed = PeerChunks::agree(connection, Meter::unlimited(), wanted, |position| heard.push(position.ahead)) => agreed,
            () = telling => unreachable!(),
        };
        assert_eq!(agreed.err().map(|error| error.code()), is_silent.then_some("timeout"));
        assert!(heard.len() == 1800 && heard.ends_with(&[1, 0]));
    }
}
