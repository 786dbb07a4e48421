//! A server as a source of chunks, over real sockets.

use std::time::Duration;

use lanspread_store::state::chunks::Chunks;
use lanspread_types::checksum::Checksum;
use tokio::sync::Barrier;

use super::*;
use crate::http::tests::hostile::{Hostile, Step, range_of};
use crate::http::tests::server_at;
use crate::traffic::Meter;

/// More than all tests pass on.
const WRITES: usize = 64;

/// How many requests the files take: two rounds of those that may run at once.
const REQUESTS: usize = 2 * limits::HTTP_PARTS_AHEAD;
/// One file of three parts, and small ones.
const SIZES: [u64; REQUESTS - 2] = {
    let mut sizes = [10; REQUESTS - 2];
    sizes[0] = 2 * limits::HTTP_PART_BYTES + 7;
    sizes
};

fn files() -> Vec<RootFile> {
    let file = |(number, size): (usize, &u64)| RootFile { name: format!("{number}.eti"), size: *size };
    SIZES.iter().enumerate().map(file).collect()
}

fn content(file: usize) -> Vec<u8> {
    let number = u8::try_from(file).unwrap();
    (0..SIZES[file]).map(|place| (place % 251) as u8 ^ number).collect()
}

/// The number of the file that a request asks for.
fn file_of(head: &str) -> usize {
    let path = head.split(".eti").next().unwrap();
    path.rsplit('/').next().unwrap().parse().unwrap()
}

/// Asks a server for all chunks; returns what it passed on.
async fn fetched(server: &Hostile) -> (Result<(), FetchError>, Vec<ChunkWrite>, u64) {
    let client = server_at(&server.url(""), Duration::from_secs(5));
    let mut source = ServerChunks::new(Arc::new(client), Tasks::default(), Meter::unlimited(), &files());
    let (orders, mut ordered) = mpsc::channel(SIZES.len());
    for chunk in Chunks::of(&files(), limits::CHUNK_BYTES).all() {
        orders.try_send(*chunk).unwrap();
    }
    drop(orders);
    let (writes, mut queue) = mpsc::channel(WRITES);
    let arrivals = Arc::new(Arrivals::default());
    let ended = source.fetch(&mut ordered, writes, &Buffers::default(), &arrivals).await;
    (ended, std::iter::from_fn(|| queue.try_recv().ok()).collect(), arrivals.bytes())
}

/// No request is answered before as many have come as may be asked ahead: of one file, and of several small ones.
#[tokio::test]
async fn parts_and_small_files_are_asked_for_ahead_and_passed_on_in_order() {
    let together = Arc::new(Barrier::new(limits::HTTP_PARTS_AHEAD));
    let server = Hostile::scripted(move |head, _| {
        let answer = range_of(&content(file_of(head)), head, "");
        [vec![Step::Together(Arc::clone(&together))], answer].concat()
    })
    .await;
    let (ended, writes, arrived) = fetched(&server).await;
    ended.unwrap();
    let (mut got, mut done) = (vec![Vec::new(); SIZES.len()], Vec::new());
    for write in writes {
        match write {
            ChunkWrite::Data { chunk, offset, data } => {
                assert_eq!(offset, got[chunk.file].len() as u64);
                assert!(data.len() <= limits::DATA_CHUNK_BYTES);
                got[chunk.file].extend_from_slice(&data);
            }
            ChunkWrite::End { chunk, checksum } => {
                assert_eq!(checksum, Checksum::of(&got[chunk.file]));
                done.push(chunk.id);
            }
        }
    }
    assert!((0..SIZES.len()).all(|file| got[file] == content(file)));
    assert_eq!(done, (0..SIZES.len()).collect::<Vec<_>>());
    assert_eq!(arrived, SIZES.iter().sum::<u64>());
    assert_eq!(server.requests().len(), REQUESTS);
    assert!(server.connections() <= limits::HTTP_PARTS_AHEAD, "{}", server.connections());
}

/// What came before a part that failed is passed on, and nothing behind it, though it may be here.
#[tokio::test]
async fn a_part_that_fails_ends_the_source_at_its_place() {
    let server = Hostile::scripted(|head, _| {
        let second = format!("range: bytes={}-", limits::HTTP_PART_BYTES);
        if head.contains(&second) {
            return vec![Step::Send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec())];
        }
        range_of(&content(file_of(head)), head, "")
    })
    .await;
    let (ended, writes, _) = fetched(&server).await;
    assert_eq!(ended.unwrap_err().code(), "http-missing");
    let passed = |write: &ChunkWrite| match write {
        ChunkWrite::Data { offset, data, .. } => offset + data.len() as u64,
        ChunkWrite::End { .. } => panic!("the first chunk is not whole"),
    };
    assert_eq!(writes.iter().map(passed).max(), Some(limits::HTTP_PART_BYTES));
}

#[tokio::test]
async fn a_server_is_left_when_the_writer_has_ended() {
    let server = Hostile::scripted(|_, _| vec![Step::Silence]).await;
    let client = server_at(&server.url(""), Duration::from_mins(1));
    let mut source = ServerChunks::new(Arc::new(client), Tasks::default(), Meter::unlimited(), &files());
    let (orders, mut ordered) = mpsc::channel(1);
    orders.try_send(Chunks::of(&files(), limits::CHUNK_BYTES).all()[0]).unwrap();
    let (writes, queue) = mpsc::channel(WRITES);
    let (buffers, arrivals) = (Buffers::default(), Arc::default());
    let stopping = async {
        server.asked().await;
        drop(queue);
    };
    let (ended, ()) = tokio::join!(source.fetch(&mut ordered, writes, &buffers, &arrivals), stopping);
    assert!(matches!(ended, Err(FetchError::WriterStopped)), "{ended:?}");
}
