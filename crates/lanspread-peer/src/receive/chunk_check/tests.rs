//! However a source cuts its frames, exactly the listed bytes pass the check, and nothing of a listed chunk that differs.

use std::fs;
use std::os::unix::fs::FileExt;

use lanspread_store::state::chunks::Chunks;
use lanspread_testing::manifests::of_root_files;
use lanspread_types::checksum::{Checksum, ContentDigest};
use lanspread_types::content::RootFile;
use lanspread_types::limits::{CHUNK_BYTES, MANIFEST_SMALL_CHUNK_BYTES};
use proptest::prelude::*;

use super::*;

const LISTED: usize = MANIFEST_SMALL_CHUNK_BYTES as usize;

/// Three listed chunks and a part of a fourth, no two bytes of which are at the same place of a page.
fn content() -> Vec<u8> {
    (0..3 * LISTED + 777).map(|at| u8::try_from((at / 7 + at / 4096) % 251).unwrap()).collect()
}

fn listed(archive: &[u8]) -> ListedChunks {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.eti"), archive).unwrap();
    fs::write(root.path().join("version.ini"), "1").unwrap();
    ListedChunks::new(of_root_files(root.path(), "g", "1"))
}

fn chunk(listed: &ListedChunks) -> Chunk {
    Chunks::of(listed.files(), CHUNK_BYTES).all()[0]
}

/// What passes if a source sends the archive in frames of these lengths, the last of which is repeated.
fn passed(listed: &ListedChunks, sent: &[u8], frames: &[usize]) -> (Result<(), FetchError>, Vec<ChunkWrite>) {
    let (arrived, queue) = mpsc::channel(limits::CHECKED_QUEUE_ITEMS);
    let (writes, mut written) = mpsc::channel(limits::CHECKED_QUEUE_ITEMS);
    let (chunk, buffers) = (chunk(listed), Buffers::default());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut offset, mut frames) = (0, frames.iter().copied());
            let mut length = frames.next().unwrap();
            while offset < sent.len() {
                let data = BytesMut::from(&sent[offset..sent.len().min(offset + length)]);
                let (at, bytes) = (offset as u64, data.len());
                if arrived.blocking_send(ChunkWrite::Data { chunk, offset: at, data }).is_err() {
                    break;
                }
                offset += bytes;
                length = frames.next().unwrap_or(length);
            }
            let _ = arrived.blocking_send(ChunkWrite::End { chunk, checksum: Checksum::of(sent) });
            drop(arrived);
        });
        let writing = scope.spawn(move || {
            let mut all = Vec::new();
            while let Some(write) = written.blocking_recv() {
                all.push(write);
            }
            all
        });
        let buffers = &buffers;
        let checked = scope.spawn(move || check(listed, queue, &writes, buffers)).join().unwrap();
        (checked, writing.join().unwrap())
    })
}

/// The bytes of writes, which must follow each other, and whether the end is among them.
fn bytes_of(writes: Vec<ChunkWrite>) -> (Vec<u8>, bool) {
    let (mut bytes, mut has_end) = (Vec::new(), false);
    for write in writes {
        match write {
            ChunkWrite::Data { offset, data, .. } => {
                assert_eq!((offset, has_end), (bytes.len() as u64, false));
                bytes.extend_from_slice(&data);
            }
            ChunkWrite::End { .. } => has_end = true,
        }
    }
    (bytes, has_end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn right_bytes_pass_as_they_are(frames in proptest::collection::vec(100usize..2 * LISTED, 1..40)) {
        let content = content();
        let (checked, writes) = passed(&listed(&content), &content, &frames);
        prop_assert!(checked.is_ok(), "{:?}", checked);
        let (bytes, has_end) = bytes_of(writes);
        prop_assert!(bytes == content && has_end);
    }

    /// One wrong byte: the listed chunks before it pass, and nothing after them.
    #[test]
    fn nothing_of_a_wrong_chunk_passes(
        at in 0usize..3 * LISTED + 777,
        bit in 0u8..8,
        frames in proptest::collection::vec(100usize..2 * LISTED, 1..40)
    ) {
        let content = content();
        let mut sent = content.clone();
        sent[at] ^= 1 << bit;
        let (checked, writes) = passed(&listed(&content), &sent, &frames);
        let begin = at / LISTED * LISTED;
        let end = (begin + LISTED).min(content.len());
        match checked {
            Err(FetchError::OtherBytes(other)) => {
                let digests = (ContentDigest::of(&content[begin..end]), ContentDigest::of(&sent[begin..end]));
                prop_assert_eq!((other.expected, other.got), digests);
                prop_assert_eq!((other.path.as_str(), other.position), ("a.eti", begin as u64));
            }
            other => prop_assert!(false, "{:?}", other),
        }
        let (bytes, has_end) = bytes_of(writes);
        prop_assert!(bytes == content[..begin] && !has_end);
    }
}

/// A source that sends its bytes one by one makes the check hold no more than one that sends large frames.
#[test]
fn what_is_held_is_bounded_however_small_the_frames_are() {
    for length in [1, 2, 1000, limits::HELD_PIECE_BYTES_MIN + 1, limits::DATA_CHUNK_BYTES] {
        let (mut held, buffers) = (Held::default(), Buffers::default());
        let mut left = limits::MANIFEST_CHUNK_BYTES as usize;
        while left > 0 {
            // As a frame is received: into a buffer that may have been used before.
            let mut data = buffers.take();
            data.clear();
            data.resize(length.min(left), 7);
            left -= data.len();
            held.take(data, &buffers);
        }
        let memory: usize = held.pieces.iter().map(BytesMut::capacity).sum();
        let bound = 2 * limits::MANIFEST_CHUNK_BYTES as usize + limits::DATA_CHUNK_BYTES;
        assert!(memory <= bound, "{length}: {memory}");
        let pieces = limits::MANIFEST_CHUNK_BYTES as usize / limits::HELD_PIECE_BYTES_MIN * 2;
        assert!(held.pieces.len() <= pieces, "{length}: {}", held.pieces.len());
    }
}

/// A chunk that ends in the middle of a listed one is never passed on as whole.
#[test]
fn a_chunk_that_is_not_whole_has_no_end() {
    let content = content();
    let (checked, writes) = passed(&listed(&content), &content[..=LISTED], &[1000]);
    assert!(matches!(checked, Err(FetchError::WriterStopped)), "{checked:?}");
    let (bytes, has_end) = bytes_of(writes);
    assert!(bytes == content[..LISTED] && !has_end);
}

/// Large games have larger listed chunks; the second one of a file is found in its place behind other files.
#[test]
fn each_file_is_compared_with_its_own_digests() {
    let root = tempfile::tempdir().unwrap();
    let listed_bytes = u64::from(limits::MANIFEST_CHUNK_BYTES);
    for (name, size, mark) in [("a.eti", 300 * listed_bytes, 1), ("b.eti", 2 * listed_bytes + 5, 2)] {
        let file = fs::File::create(root.path().join(name)).unwrap();
        file.set_len(size).unwrap();
        file.write_all_at(&[mark], listed_bytes).unwrap();
    }
    fs::write(root.path().join("version.ini"), "1").unwrap();
    let listed = ListedChunks::new(of_root_files(root.path(), "g", "1"));
    let RootFile { size, .. } = listed.files()[1];
    assert_eq!(listed.end_of(size, 0), listed_bytes);
    assert_eq!(listed.end_of(size, 2 * listed_bytes), size);
    let second = |mark: u8| {
        let mut bytes = vec![0; usize::try_from(listed_bytes).unwrap()];
        bytes[0] = mark;
        ContentDigest::of(&bytes)
    };
    assert_eq!(listed.digest(0, listed_bytes).unwrap(), second(1));
    assert_eq!(listed.digest(1, listed_bytes + 9).unwrap(), second(2));
    assert_eq!(listed.digest(1, 2 * listed_bytes).unwrap(), ContentDigest::of(&[0; 5]));
    assert!(listed.digest(1, 3 * listed_bytes).is_err());
}
