//! Batches hold the frames that single writes would send, and a cursor counts them wherever writing is cut.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::frame::{Frame, read_header, read_payload, write_frame};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn frames_of(mut bytes: &[u8]) -> Vec<Frame> {
    block_on(async {
        let mut frames = Vec::new();
        while let Some(header) = read_header(&mut bytes).await.unwrap() {
            frames.push(read_payload(&mut bytes, header, Duration::from_secs(1)).await.unwrap());
        }
        frames
    })
}

fn directory(length: usize) -> StreamMessage {
    StreamMessage::Directory { path: "d".repeat(length) }
}

/// A batch is byte for byte what writing each frame gives.
#[test]
fn a_batch_is_what_single_frames_are() {
    let mut batch = FrameBatch::default();
    batch.control(&directory(3)).unwrap();
    assert_eq!(batch.content(b"ab").unwrap(), b"");
    assert_eq!(batch.content(b"c").unwrap(), b"");
    batch.control(&StreamMessage::KeepAlive).unwrap();
    let mut expected = Vec::new();
    for frame in [
        Frame::Control(codec::encode(&directory(3)).unwrap().into()),
        Frame::Data(Bytes::from_static(b"abc")),
        Frame::Control(codec::encode(&StreamMessage::KeepAlive).unwrap().into()),
    ] {
        block_on(write_frame(&mut expected, &frame)).unwrap();
    }
    assert_eq!(batch.bytes(), expected);
    assert_eq!((batch.content_bytes(), batch.is_last()), (3, false));
    batch.control(&StreamMessage::Complete).unwrap();
    assert!(batch.is_last());
    batch.clear();
    assert_eq!((batch.is_empty(), batch.content_bytes(), batch.is_last()), (true, 0, false));
}

/// A full batch takes no more content, and never needs more memory than it took at first.
#[test]
fn a_batch_is_bounded() {
    let content = vec![7; 2 * STREAM_BATCH_BYTES];
    let mut batch = FrameBatch::default();
    assert_eq!(batch.content(&content).unwrap().len(), STREAM_BATCH_BYTES, "as much as an empty one holds");
    assert!(batch.is_full());
    assert_eq!(batch.content(b"x").unwrap(), b"x");
    let capacity = batch.bytes.capacity();
    batch.clear();
    while !batch.is_full() {
        batch.control(&directory(CONTROL_FRAME_BYTES_MAX - 100)).unwrap();
    }
    assert_eq!(batch.bytes.capacity(), capacity, "what it held at most");
    batch.clear();
    assert_eq!(batch.bytes.capacity(), capacity);
}

/// A message that is too long for a frame leaves the batch as it was, and content after it continues its frame.
#[test]
fn a_message_that_does_not_fit_changes_nothing() {
    let mut batch = FrameBatch::default();
    batch.content(b"ab").unwrap();
    let before = batch.bytes().to_vec();
    assert!(batch.control(&directory(CONTROL_FRAME_BYTES_MAX + 1)).is_err());
    assert_eq!(batch.bytes(), before);
    batch.content(b"c").unwrap();
    assert_eq!(frames_of(batch.bytes()), [Frame::Data(Bytes::from_static(b"abc"))]);
}

proptest! {
    /// However writing is cut, the sums are those of the batch, and the rest of a frame ends where the next begins.
    #[test]
    fn a_cursor_counts_each_frame_once(
        steps in proptest::collection::vec((any::<bool>(), 1..300_usize), 0..20),
        cuts in proptest::collection::vec(1..200_usize, 1..50),
    ) {
        let mut batch = FrameBatch::default();
        let (mut content_bytes, mut control_frames) = (0, 0);
        for (is_content, length) in steps {
            if is_content {
                batch.content(&vec![1; length]).unwrap();
                content_bytes += length as u64;
            } else {
                batch.control(&directory(length)).unwrap();
                control_frames += 1;
            }
        }
        let frames = frames_of(batch.bytes()).len();
        let mut sum = WrittenFrames::default();
        let mut cursor = BatchCursor::new(&batch);
        for cut in cuts.iter().cycle() {
            if cursor.rest().is_empty() {
                break;
            }
            let written = cursor.advance(*cut);
            sum.content_bytes += written.content_bytes;
            sum.control_frames += written.control_frames;
            let boundary = batch.bytes().len() - cursor.rest().len() + cursor.rest_of_frame().len();
            prop_assert!(frames_of(&batch.bytes()[..boundary]).len() <= frames);
        }
        prop_assert_eq!(sum, WrittenFrames { content_bytes, control_frames });
    }
}
