//! The loop between the frames and the socket, over in-memory pipes: receivers that take little, nothing, or leave.

use std::time::Duration;

use lanspread_proto::codec;
use lanspread_testing::lying_source::control_frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::guests::guest::Guest;
use crate::guests::places::Places;
use crate::guests::shares::Shares;
use crate::source::frame_queue::{FrameSender, frame_queue};
use crate::source::running::TransferKind;
use crate::testing::{answered, greeting, hello, pipe};
use crate::traffic::{Meter, Traffic, TrafficKind};

/// A connection to a receiver whose end of the pipe is raw, and has nothing but our greeting to read.
async fn connected(pipe_bytes: usize) -> (Connection<DuplexStream>, DuplexStream) {
    let (mut near, far) = duplex(pipe_bytes);
    let ours = hello("pc");
    let greeting = greeting(&pipe().0, &ours);
    near.write_all(&greeting).await.unwrap();
    let connection = async { answered(far, &ours).await.unwrap() };
    let mut theirs = vec![0; greeting.len()];
    let (connection, read) = tokio::join!(connection, near.read_exact(&mut theirs));
    read.unwrap();
    (connection, near)
}

fn folder() -> StreamMessage {
    StreamMessage::Directory { path: "folder".to_owned() }
}

/// The bytes of one [`folder`].
fn folder_bytes() -> Vec<u8> {
    control_frame(&codec::encode(&folder()).unwrap())
}

/// A queue with many small frames in full batches, and the sender, which would have more.
fn small_frames() -> (FrameSender, FrameReceiver) {
    let (frames, queue) = frame_queue();
    for _ in 0..3 * limits::STREAM_BATCH_BYTES / folder_bytes().len() {
        frames.control(&folder()).unwrap();
    }
    (frames, queue)
}

/// Forwards the queue until the stream ends, for an hour at most.
async fn forwarded(
    connection: &mut Connection<DuplexStream>,
    queue: &FrameReceiver,
    stop: &CancellationToken,
) -> Option<Result<(), Interruption>> {
    forwarded_by(Meter::unlimited(), connection, queue, stop).await
}

/// The same, with a meter.
async fn forwarded_by(
    meter: Meter,
    connection: &mut Connection<DuplexStream>,
    queue: &FrameReceiver,
    stop: &CancellationToken,
) -> Option<Result<(), Interruption>> {
    let shares = Shares { places: 1, share: 1, kept: 0, most: 1, idle_max: Duration::ZERO };
    let place = Places::new(shares).take(Guest::at([10, 0, 0, 1].into())).unwrap();
    let running = Running::new(stop, &place, TransferKind::Stream, meter);
    let mut forwarding = Forwarding::begin(connection, &running);
    timeout(Duration::from_hours(1), forwarding.forward(queue)).await.ok()
}

/// How a stream of small frames ends for a receiver that takes one byte per `pause`, within an hour.
async fn end_of_stream(pause: Duration) -> Option<EarlyEnd> {
    let (mut connection, mut near) = connected(256).await;
    let (_frames, queue) = small_frames();
    let receiving = async {
        loop {
            tokio::time::sleep(pause).await;
            near.read_u8().await.unwrap();
        }
    };
    let stop = CancellationToken::new();
    tokio::select! {
        end = forwarded(&mut connection, &queue, &stop) => match end {
            Some(Err(Interruption::MustEnd(end) | Interruption::CutOff(end, _))) => Some(end),
            None => None,
            Some(_) => panic!("the receiver is still there, and there is more to send"),
        },
        () = receiving => unreachable!("it reads for ever"),
    }
}

/// Small frames have a deadline each, so that a receiver could keep its place with nearly nothing. One that takes
/// fewer frames than the slowest disk creates files loses it; one that takes more keeps it, however few bytes these
/// are.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_nearly_nothing_loses_its_place() {
    assert_eq!(end_of_stream(Duration::from_millis(500)).await, Some(EarlyEnd::ReceiverSlow));
    assert_eq!(end_of_stream(Duration::from_millis(20)).await, None);
}

/// One deadline holds for a large frame, however often a receiver takes a byte of it.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_drips_through_a_large_frame_is_given_up() {
    let (mut connection, mut near) = connected(256).await;
    let (frames, queue) = frame_queue();
    frames.content(&vec![7; limits::STREAM_BATCH_BYTES]).unwrap();
    let begun = Instant::now();
    let dripping = async {
        loop {
            // Not at the moment at which the floor under slow receivers is judged, too.
            tokio::time::sleep(Duration::from_secs(7)).await;
            near.read_u8().await.unwrap();
        }
    };
    let stop = CancellationToken::new();
    let end = tokio::select! {
        end = forwarded(&mut connection, &queue, &stop) => end,
        () = dripping => unreachable!("it reads for ever"),
    };
    assert!(
        matches!(end, Some(Err(Interruption::Wire(WireError::Timeout { what: "room for a frame", .. })))),
        "another end"
    );
    let late = begun.elapsed().saturating_sub(limits::FRAME_WRITE_DEADLINE);
    assert!(
        begun.elapsed() >= limits::FRAME_WRITE_DEADLINE && late < Duration::from_secs(2),
        "{late:?} late"
    );
}

/// A stream that must end does so behind the frame of which a part is written, and not behind the batch.
#[tokio::test(start_paused = true)]
async fn a_stream_can_end_in_the_middle_of_a_batch() {
    let frame = folder_bytes();
    // The pipe ends within a frame.
    let pipe = 10 * frame.len() + 5;
    for then_reads in [true, false] {
        let (mut connection, mut near) = connected(pipe).await;
        let (_frames, queue) = small_frames();
        let stop = CancellationToken::new();
        let mut forwarding = Box::pin(forwarded(&mut connection, &queue, &stop));
        // Paused time advances once the pipe is full and neither side goes on.
        assert!(timeout(Duration::from_secs(1), &mut forwarding).await.is_err());
        stop.cancel();
        if !then_reads {
            let end = forwarding.await;
            assert!(matches!(end, Some(Err(Interruption::CutOff(EarlyEnd::Stopping, _)))), "another end");
            continue;
        }
        let mut read = Vec::new();
        let reading = async {
            while read.len() < 11 * frame.len() {
                near.read_buf(&mut read).await.unwrap();
            }
        };
        let ended = timeout(Duration::from_secs(1), async { tokio::join!(forwarding, reading) }).await;
        let (end, ()) = ended.expect("the rest of the frame is sent");
        assert!(matches!(end, Some(Err(Interruption::MustEnd(EarlyEnd::Stopping)))), "another end");
        drop(connection);
        near.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, frame.repeat(11), "whole frames, and no more than were begun");
    }
}

/// A receiver that leaves in the middle of a batch ends the stream at once.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_leaves_in_the_middle_of_a_batch_ends_the_stream() {
    let (mut connection, mut near) = connected(256).await;
    let (_frames, queue) = small_frames();
    let begun = Instant::now();
    let leaving = async move {
        let mut some = [0; 1000];
        near.read_exact(&mut some).await.unwrap();
    };
    let stop = CancellationToken::new();
    let (end, ()) = tokio::join!(forwarded(&mut connection, &queue, &stop), leaving);
    assert!(matches!(end, Some(Err(Interruption::Wire(_) | Interruption::ReceiverGone))), "another end");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// What a decoder has added before it falls silent is sent soon, and then keep-alives are.
#[tokio::test(start_paused = true)]
async fn a_batch_that_does_not_become_full_is_sent() {
    let (mut connection, mut near) = connected(4096).await;
    let (frames, queue) = frame_queue();
    frames.control(&folder()).unwrap();
    let begun = Instant::now();
    let alive = control_frame(&codec::encode(&StreamMessage::KeepAlive).unwrap());
    let expected = [folder_bytes(), alive.clone(), alive].concat();
    let mut read = vec![0; expected.len()];
    let reading = async {
        near.read_exact(&mut read[..folder_bytes().len()]).await.unwrap();
        let first = begun.elapsed();
        near.read_exact(&mut read[folder_bytes().len()..]).await.unwrap();
        (first, begun.elapsed())
    };
    let stop = CancellationToken::new();
    let (first, last) = tokio::select! {
        _ = forwarded(&mut connection, &queue, &stop) => unreachable!("there is more to send"),
        times = reading => times,
    };
    assert_eq!(read, expected);
    assert!(first <= 2 * limits::STREAM_BATCH_WAIT, "{first:?}");
    let between = last.saturating_sub(first);
    let late = between.saturating_sub(2 * limits::KEEP_ALIVE_INTERVAL);
    assert!(between >= 2 * limits::KEEP_ALIVE_INTERVAL && late <= 4 * limits::STREAM_BATCH_WAIT, "{late:?}");
}

/// A stream that waits for the limit of its source for longer than its receiver waits for a byte, and can be ended meanwhile.
#[tokio::test(start_paused = true)]
async fn keep_alives_do_not_wait_for_the_limit_and_the_end_does_not_either() {
    for is_stopped in [false, true] {
        let waiting = 2 * limits::STREAM_IDLE_DEADLINE;
        let traffic = Traffic::occupied(waiting);
        let meter = traffic.sent_to([10, 0, 0, 1].into(), TrafficKind::Stream);
        let (mut connection, mut near) = connected(64 * 1024).await;
        let (frames, queue) = frame_queue();
        frames.content(&[7; 1000]).unwrap();
        drop(frames);
        let (begun, stop) = (Instant::now(), CancellationToken::new());
        let receiving = async {
            let alive = control_frame(&codec::encode(&StreamMessage::KeepAlive).unwrap());
            let (mut frame, mut count) = (vec![0; alive.len()], 0);
            loop {
                timeout(limits::STREAM_IDLE_DEADLINE, near.read_exact(&mut frame)).await.unwrap().unwrap();
                if frame != alive {
                    return count;
                }
                count += 1;
                if is_stopped && count == 3 {
                    stop.cancel();
                    return count;
                }
            }
        };
        let (end, alive) = tokio::join!(forwarded_by(meter, &mut connection, &queue, &stop), receiving);
        if is_stopped {
            assert!(matches!(end, Some(Err(Interruption::MustEnd(EarlyEnd::Stopping)))), "another end");
            assert!(begun.elapsed() < waiting / 2, "{:?}", begun.elapsed());
        } else {
            assert!(matches!(end, Some(Ok(()))), "another end");
            assert!(begun.elapsed() + Duration::from_millis(100) >= waiting, "{:?}", begun.elapsed());
            let expected = waiting.as_secs() / limits::KEEP_ALIVE_INTERVAL.as_secs();
            assert!(expected.abs_diff(alive) <= 1, "{alive} keep-alives, not {expected}");
        }
    }
}
