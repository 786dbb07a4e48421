//! The queue between a real decoder's thread and a task: order, bounds, and both ends leaving.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Waits until the queue is as the test needs it. The other thread gets there, or the test fails.
fn until(queue: &FrameReceiver, reached: impl Fn(&State) -> bool) {
    let begun = Instant::now();
    while !reached(&queue.0.lock()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the sender does not get there");
        thread::yield_now();
    }
}

/// A receiver that takes nothing bounds what the decoder can add, and when it leaves, the decoder ends.
#[test]
fn a_decoder_cannot_run_ahead() {
    let (frames, queue) = frame_queue();
    let decoding = thread::spawn(move || {
        let content = vec![7; limits::STREAM_BATCH_BYTES / 3];
        while frames.content(&content).is_ok() {}
    });
    until(&queue, |state| state.full.len() == limits::STREAM_BATCHES);
    {
        let state = queue.0.lock();
        assert!(state.open.is_none() && state.free.is_empty());
        let bytes: usize = state.full.iter().map(|batch| batch.bytes().len()).sum();
        assert!(bytes <= limits::STREAM_BATCHES * (limits::STREAM_BATCH_BYTES + 100), "{bytes}");
    }
    drop(queue);
    decoding.join().unwrap();
}

/// Everything arrives in order, in a few buffers that are used again and again.
#[tokio::test]
async fn buffers_are_used_again() {
    let (frames, queue) = frame_queue();
    let rounds = 40 * limits::STREAM_BATCHES;
    let decoding = thread::spawn(move || {
        for round in 0..rounds {
            frames.content(&vec![u8::try_from(round % 251).unwrap(); limits::STREAM_BATCH_BYTES]).unwrap();
        }
        frames.control(&StreamMessage::Complete).unwrap();
    });
    let mut buffers = HashSet::new();
    let mut round = 0;
    while let Some(batch) = queue.next().await.unwrap() {
        if batch.is_last() {
            break;
        }
        buffers.insert(batch.bytes().as_ptr());
        assert_eq!(batch.bytes().last(), Some(&u8::try_from(round % 251).unwrap()), "batch {round}");
        round += 1;
        queue.give_back(batch);
    }
    assert_eq!(round, rounds);
    assert!(buffers.len() <= limits::STREAM_BATCHES, "{} buffers", buffers.len());
    decoding.join().unwrap();
}

/// What a sender has added before it ends arrives; then its failure, if it has one.
#[tokio::test]
async fn the_last_batch_need_not_be_full() {
    for fails in [false, true] {
        let (frames, queue) = frame_queue();
        frames.content(b"abc").unwrap();
        if fails {
            let path = "x".repeat(limits::CONTROL_FRAME_BYTES_MAX + 1);
            assert!(frames.control(&StreamMessage::Directory { path }).is_err());
        }
        drop(frames);
        assert_eq!(queue.next().await.unwrap().unwrap().content_bytes(), 3);
        match queue.next().await {
            Ok(None) => assert!(!fails),
            Err(WireError::FrameTooLong { .. }) => assert!(fails),
            other => panic!("{other:?}"),
        }
    }
}

/// A batch that is being filled is taken only if nothing comes before it, and not if it is empty.
#[tokio::test]
async fn a_batch_is_taken_early_only_in_its_turn() {
    let (frames, queue) = frame_queue();
    assert!(queue.take_unfilled().is_none());
    frames.content(&vec![7; limits::STREAM_BATCH_BYTES]).unwrap();
    frames.content(b"abc").unwrap();
    assert!(queue.take_unfilled().is_none(), "a full one comes first");
    assert_eq!(queue.next().await.unwrap().unwrap().content_bytes(), limits::STREAM_BATCH_BYTES as u64);
    assert_eq!(queue.take_unfilled().unwrap().content_bytes(), 3);
    assert!(queue.take_unfilled().is_none());
}
