//! The receiver's loop over an in-memory pipe with a paused clock: how long a source may be silent, slow or merely
//! alive. The content of streams is tested through whole attempts (`peer/attempt_tests.rs`).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use lanspread_proto::message::{Request, StreamItem};
use lanspread_testing::fault_pipe::{Fault, FaultPipe};
use lanspread_testing::lying_source::{Greeting, LyingSource};
use lanspread_testing::small_game;
use lanspread_testing::small_game::{data, frame, say};
use lanspread_testing::step::Step;
use tokio::io::{AsyncRead, AsyncWrite, duplex};

use super::*;
use crate::receive::staging_queue::staging_queue;
use crate::testing::{dialled, hello, pipe};
use crate::traffic::{Meter, Traffic, TrafficKind};

/// An observer that keeps the number of received bytes.
#[derive(Default)]
struct Watching {
    bytes: u64,
    queued: u32,
    /// How long it waits for its turn.
    patience: Option<Duration>,
}

impl StreamObserver for Watching {
    fn queued(&mut self, _: QueuePosition) -> Result<Option<Instant>, AttemptError> {
        self.queued += 1;
        Ok(self.patience.map(|patience| Instant::now() + patience))
    }
    fn announced(&mut self, _: Totals) {}
    fn archive(&mut self, _: &ArchiveSummary) {}
    fn progress(&mut self, bytes: u64) {
        self.bytes = bytes;
    }
}

/// The grammar of a stream of the small game.
fn grammar() -> StreamGrammar {
    StreamGrammar::of_archives(vec!["small.eti".to_owned()])
}

/// How one stream ended: its result, its duration and what was received.
#[derive(Debug)]
struct Ended {
    result: Result<(), AttemptError>,
    after: Duration,
    bytes: u64,
    steps: usize,
}

impl Ended {
    fn timeout(&self) -> Option<(&'static str, Duration)> {
        match &self.result {
            Err(AttemptError::Wire(WireError::Timeout { what, after })) => Some((what, *after)),
            _ => None,
        }
    }
}

/// A connection on which the stream has been asked for.
async fn asked<S: AsyncRead + AsyncWrite>(stream: S) -> Connection<S> {
    let mut connection = dialled(stream, &hello("receiver")).await.unwrap();
    let request = Request::StreamInstall { game: small_game::game(), version: small_game::version() };
    connection.send(&request).await.unwrap();
    connection
}

/// Receives the script of the only source through a pipe whose fault begins with the stream. The disk takes its first
/// step after `disk_busy`.
async fn receive_from(stream: Vec<Step>, fault: Fault, disk_busy: Duration) -> Ended {
    receive_with(false, stream, fault, disk_busy).await
}

/// The same, by a receiver that is left a limit.
async fn receive_limited(meter: Meter, stream: Vec<Step>) -> Ended {
    receive_metered(true, stream, Fault::None, Duration::ZERO, meter).await
}

async fn receive_with(another_waits: bool, stream: Vec<Step>, fault: Fault, disk_busy: Duration) -> Ended {
    receive_metered(another_waits, stream, fault, disk_busy, Meter::unlimited()).await
}

async fn receive_metered(
    another_waits: bool,
    stream: Vec<Step>,
    fault: Fault,
    disk_busy: Duration,
    meter: Meter,
) -> Ended {
    let source = LyingSource::new("source", Vec::new(), stream);
    let said_before = LyingSource { stream: Vec::new(), ..source.clone() }.stream_connection_bytes().unwrap();
    let fault = match fault {
        Fault::StallAt(at) => Fault::StallAt(said_before + at),
        other => other,
    };
    let ((near, far), (_, end)) = (duplex(4096), pipe());
    let speaking = source.speak(FaultPipe::on_writes(far, fault), end, Greeting::Honest);
    let (steps, _, mut queue) = staging_queue(false);
    let receiving = async {
        let mut connection = asked(near).await;
        let mut watching = Watching::default();
        let begun = Instant::now();
        let result = receive(
            &mut connection,
            grammar(),
            NamePolicy::Portable,
            another_waits,
            steps,
            meter,
            &mut watching,
        )
        .await;
        Ended { result, after: begun.elapsed(), bytes: watching.bytes, steps: 0 }
    };
    let staging = async {
        let mut taken = 0;
        tokio::time::sleep(disk_busy).await;
        while let Some(steps) = queue.take().await {
            taken += steps;
        }
        taken
    };
    let speaking = async {
        let _ = speaking.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = speaking => unreachable!(),
        (ended, steps) = async { tokio::join!(receiving, staging) } => Ended { steps, ..ended },
        // The paused clock jumps when all tasks wait, so a receiver that waits for ever gets here at once.
        () = tokio::time::sleep(Duration::from_hours(24)) => panic!("it would wait for ever"),
    }
}

/// A stream of one large file in frames of this size.
fn large_file(bytes: usize, frame_bytes: usize) -> Vec<Step> {
    let content = vec![7; bytes];
    let mut entries = small_game::file("large.bin", &content, false);
    let data_frames = content.chunks(frame_bytes).map(data);
    entries.splice(1..2, data_frames);
    small_game::stream_of(entries, Totals { files: 1, directories: 0, bytes: bytes as u64 })
}

fn honest_then(frames: usize, step: Step) -> Vec<Step> {
    let mut steps = small_game::stream();
    steps.truncate(frames);
    steps.push(step);
    steps
}

/// The honest stream passes whole. Each test below differs from it only in the fault that it names.
#[tokio::test(start_paused = true)]
async fn an_honest_stream_is_received_whole() {
    let ended = receive_from(small_game::stream(), Fault::None, Duration::ZERO).await;
    assert!(ended.result.is_ok(), "{ended:?}");
    assert_eq!(ended.bytes, small_game::totals().bytes);
    assert_eq!(ended.steps, small_game::stream().len() - 1, "complete is no step");
    assert_eq!(ended.after, Duration::ZERO);
}

/// A source that falls silent after any frame is given up exactly at the idle deadline.
#[tokio::test(start_paused = true)]
async fn silence_is_given_up_at_the_idle_deadline() {
    for frames in 0..=frame::COMPLETE {
        let ended = receive_from(honest_then(frames, Step::Silence), Fault::None, Duration::ZERO).await;
        assert_eq!(
            ended.timeout(),
            Some(("frame", limits::STREAM_IDLE_DEADLINE)),
            "after {frames}: {ended:?}"
        );
        // Tokio's timers count whole milliseconds.
        let late = ended.after.saturating_sub(limits::STREAM_IDLE_DEADLINE);
        assert!(late <= Duration::from_millis(2), "after {frames} frames: {ended:?}");
    }
}

/// A connection that stalls at any byte of the stream is given up at a deadline too.
#[tokio::test(start_paused = true)]
async fn a_stall_at_any_byte_is_given_up() {
    let source = LyingSource::new("source", Vec::new(), small_game::stream());
    let nothing = LyingSource { stream: Vec::new(), ..source.clone() };
    let length = source.stream_connection_bytes().unwrap() - nothing.stream_connection_bytes().unwrap();
    for at in 0..length {
        let ended = receive_from(small_game::stream(), Fault::StallAt(at), Duration::ZERO).await;
        let (what, after) = ended.timeout().unwrap_or_else(|| panic!("stalled at {at}: {ended:?}"));
        assert!(
            matches!(what, "frame" | "next byte of a frame" | "rest of a frame"),
            "stalled at {at}: {ended:?}"
        );
        assert!(ended.after <= after + Duration::from_millis(2), "stalled at {at}: {ended:?}");
    }
}

/// A source that sends only keep-alives is given up when no honest decoder would need longer.
#[tokio::test(start_paused = true)]
async fn keep_alives_for_ever_are_given_up_at_the_stall_deadline() {
    for frames in [0, 1, frame::FIRST_DATA, frame::COMPLETE] {
        let ended = receive_from(honest_then(frames, Step::KeepAlives), Fault::None, Duration::ZERO).await;
        assert_eq!(ended.timeout(), Some(("progress", limits::STREAM_STALL_DEADLINE)), "{ended:?}");
        let latest = limits::STREAM_STALL_DEADLINE + 2 * limits::KEEP_ALIVE_INTERVAL;
        assert!(ended.after > limits::STREAM_STALL_DEADLINE && ended.after < latest, "{ended:?}");
    }
}

/// A working source on a bad link is not given up, even if another source waits: 60 kB/s in frames of full size, far
/// beyond the idle deadline.
#[tokio::test(start_paused = true)]
async fn a_slow_link_above_the_floor_is_not_abandoned() {
    let bytes = 16 * limits::DATA_CHUNK_BYTES;
    let trickle = Fault::Trickle { bytes: 6000, every: Duration::from_millis(100) };
    for another_waits in [false, true] {
        let stream = large_file(bytes, limits::DATA_CHUNK_BYTES);
        let ended = receive_with(another_waits, stream, trickle, Duration::ZERO).await;
        assert!(ended.result.is_ok(), "{ended:?}");
        assert_eq!(ended.bytes, bytes as u64);
        assert!(ended.after > limits::SLOW_SOURCE_SPAN, "the test is too quick to mean anything");
        assert!(ended.after > 3 * limits::STREAM_IDLE_DEADLINE, "the test is too quick to mean anything");
    }
}

/// One byte every four seconds, and keep-alives in between.
fn trickle(bytes: usize) -> Vec<Step> {
    let mut steps = large_file(bytes, 1);
    let first = steps.iter().position(|step| matches!(step, Step::Say(StreamItem::Data(_)))).unwrap();
    for byte in 0..bytes {
        steps.insert(first + 2 * byte, Step::Wait(Duration::from_secs(4)));
    }
    steps
}

/// A source that trickles is left after one span, but only if another one waits. Alone, it may take as long as it likes.
#[tokio::test(start_paused = true)]
async fn a_trickle_is_left_for_a_source_that_waits() {
    let ended = receive_with(true, trickle(100), Fault::None, Duration::ZERO).await;
    assert!(matches!(ended.result, Err(AttemptError::TooSlow)), "{ended:?}");
    let late = ended.after.saturating_sub(limits::SLOW_SOURCE_SPAN);
    assert!(late <= Duration::from_millis(2), "{ended:?}");
    assert!(ended.bytes > 0);

    let ended = receive_with(false, trickle(100), Fault::None, Duration::ZERO).await;
    assert!(ended.result.is_ok(), "{ended:?}");
    assert!(ended.after >= Duration::from_secs(400), "{ended:?}");
}

/// Sources that begin well and then trickle, or send only keep-alives, are left after the span in which they did so.
#[tokio::test(start_paused = true)]
async fn a_source_that_becomes_slow_is_left_too() {
    let span = limits::SLOW_SOURCE_SPAN;
    let quick = usize::try_from(limits::SLOW_SOURCE_BYTES).unwrap();
    let mut steps = large_file(quick + 10, quick);
    let end = steps.iter().position(|step| matches!(step, Step::Say(StreamItem::Data(_)))).unwrap() + 1;
    steps.insert(end, Step::Wait(Duration::from_hours(1)));
    let ended = receive_with(true, steps, Fault::None, Duration::ZERO).await;
    assert!(matches!(ended.result, Err(AttemptError::TooSlow)), "{ended:?}");
    assert!(ended.after >= 2 * span && ended.after <= 2 * span + Duration::from_millis(2), "{ended:?}");

    for frames in [0, 1, frame::FIRST_DATA, frame::COMPLETE] {
        let stream = honest_then(frames, Step::KeepAlives);
        let ended = receive_with(true, stream, Fault::None, Duration::ZERO).await;
        assert!(matches!(ended.result, Err(AttemptError::TooSlow)), "{ended:?}");
    }
}

/// A game of many small files has few bytes, and its entries count as progress.
#[tokio::test(start_paused = true)]
async fn many_empty_files_are_progress() {
    let mut entries = Vec::new();
    for number in 0..400 {
        entries.push(Step::Wait(Duration::from_millis(100)));
        entries.extend(small_game::file(&format!("{number}"), b"", false));
    }
    let stream = small_game::stream_of(entries, Totals { files: 400, directories: 0, bytes: 0 });
    let ended = receive_with(true, stream, Fault::None, Duration::ZERO).await;
    assert!(ended.result.is_ok(), "{ended:?}");
    assert!(ended.after > 3 * limits::SLOW_SOURCE_SPAN, "the test is too quick to mean anything");
}

/// A source with a long delay is not given up either.
#[tokio::test(start_paused = true)]
async fn a_long_delay_is_not_abandoned() {
    let delay = Fault::Delay(limits::HELLO_DEADLINE.mul_f32(0.9));
    let ended = receive_from(small_game::stream(), delay, Duration::ZERO).await;
    assert!(ended.result.is_ok(), "{ended:?}");
}

/// A disk that is busy for longer than every deadline of the source is not the source's fault, also in the middle of a
/// frame whose rest takes a while.
#[tokio::test(start_paused = true)]
async fn a_busy_disk_is_not_the_source_s_fault() {
    let busy = 2 * limits::STREAM_STALL_DEADLINE;
    // More than what may wait for the disk.
    let bytes = 2 * limits::STREAM_BATCHES * limits::STREAM_BATCH_BYTES;
    let trickle = Fault::Trickle { bytes: 20_000, every: Duration::from_millis(10) };
    for (frame_bytes, fault) in [(10_000, Fault::None), (limits::DATA_CHUNK_BYTES, trickle)] {
        let mut steps = large_file(bytes, frame_bytes);
        // Keep-alives that queued in the meantime do not fail the stream either.
        steps.insert(steps.len() * 3 / 4, say(StreamMessage::KeepAlive));
        for another_waits in [false, true] {
            let ended = receive_with(another_waits, steps.clone(), fault, busy).await;
            assert!(ended.result.is_ok(), "{ended:?}");
            assert!(ended.after >= busy, "{ended:?}");
        }
    }
}

/// When the staging thread has ended, the stream ends at once and reports that.
#[tokio::test(start_paused = true)]
async fn the_stream_ends_when_the_staging_thread_has_ended() {
    let source = LyingSource::new("source", Vec::new(), honest_then(frame::FIRST_DATA, Step::KeepAlives));
    let (near, far) = duplex(4096);
    let (steps, _, queue) = staging_queue(false);
    drop(queue);
    let receiving = async {
        let mut connection = asked(near).await;
        receive(
            &mut connection,
            grammar(),
            NamePolicy::Portable,
            false,
            steps,
            Meter::unlimited(),
            &mut Watching::default(),
        )
        .await
    };
    tokio::select! {
        _ = source.speak(far, pipe().1, Greeting::Honest) => unreachable!("it sends keep-alives for ever"),
        result = receiving => assert!(matches!(result, Err(AttemptError::ThreadStopped)), "{result:?}"),
    }
}

/// An observer whose bytes can be read while the stream runs.
#[derive(Clone, Default)]
struct Counting(Rc<Cell<u64>>);

impl StreamObserver for Counting {
    fn queued(&mut self, _: QueuePosition) -> Result<Option<Instant>, AttemptError> {
        Ok(None)
    }
    fn announced(&mut self, _: Totals) {}
    fn archive(&mut self, _: &ArchiveSummary) {}
    fn progress(&mut self, bytes: u64) {
        self.0.set(bytes);
    }
}

/// The content may have arrived together with the announcement; while the disk decides about that, nothing of it counts.
#[tokio::test(start_paused = true)]
async fn nothing_is_accepted_before_the_announcement_is() {
    let source = LyingSource::new("source", Vec::new(), small_game::stream());
    let (near, far) = duplex(64 * 1024);
    let (steps, _, queue) = staging_queue(false);
    let counting = Counting::default();
    let receiving = async {
        let mut connection = asked(near).await;
        let mut observer = counting.clone();
        receive(
            &mut connection,
            grammar(),
            NamePolicy::Portable,
            false,
            steps,
            Meter::unlimited(),
            &mut observer,
        )
        .await
    };
    let refusing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(queue);
    };
    let (_, result, ()) = tokio::join!(source.speak(far, pipe().1, Greeting::Honest), receiving, refusing);
    assert!(matches!(result, Err(AttemptError::ThreadStopped)), "{result:?}");
    assert_eq!(counting.0.get(), 0);
}

/// A source that is ahead of the disk is not read from. What waits is bounded, whether the frames are large or tiny, and
/// nothing is lost.
#[tokio::test(start_paused = true)]
async fn a_disk_that_is_behind_bounds_what_is_read() {
    let (bytes_max, steps_max) = (limits::STREAM_BATCH_BYTES, limits::STREAM_BATCH_STEPS_MAX);
    for (frame_bytes, batch_max) in [(limits::DATA_CHUNK_BYTES, bytes_max), (1, steps_max)] {
        let content = 3 * limits::STREAM_BATCHES * batch_max;
        let source = LyingSource::new("source", Vec::new(), large_file(content, frame_bytes));
        let (near, far) = duplex(4096);
        let (steps, _, mut queue) = staging_queue(false);
        let counting = Counting::default();
        let receiving = async {
            let mut connection = asked(near).await;
            let mut observer = counting.clone();
            receive(
                &mut connection,
                grammar(),
                NamePolicy::Portable,
                false,
                steps,
                Meter::unlimited(),
                &mut observer,
            )
            .await
        };
        let staging = async {
            assert_eq!(queue.take().await, Some(1), "the announcement");
            // Far longer than the source needs if nothing holds it up.
            tokio::time::sleep(limits::STREAM_STALL_DEADLINE).await;
            let waiting = counting.0.get();
            while queue.take().await.is_some() {}
            waiting
        };
        let speaking = async {
            let _ = source.speak(far, pipe().1, Greeting::Honest).await;
            std::future::pending::<()>().await;
        };
        let (received, waiting) = tokio::select! {
            () = speaking => unreachable!(),
            ended = async { tokio::join!(receiving, staging) } => ended,
        };
        assert!(received.is_ok(), "{received:?}");
        assert_eq!(counting.0.get(), content as u64);
        let most = (limits::STREAM_BATCHES * batch_max) as u64;
        assert!(waiting > most / 2 && waiting <= most, "{waiting} bytes waited; the bound is {most}");
    }
}

/// What was accepted before a stream breaks is looked at by the staging thread: it may be the reason.
#[tokio::test(start_paused = true)]
async fn what_came_before_a_cut_is_handed_on() {
    for frames in 1..=frame::COMPLETE {
        let mut stream = small_game::stream();
        stream.truncate(frames);
        let ended = receive_from(stream, Fault::None, Duration::ZERO).await;
        assert!(ended.result.is_err(), "after {frames} frames: {ended:?}");
        assert_eq!(ended.steps, frames, "after {frames} frames: {ended:?}");
    }
}

/// Words about the queue as often as an honest source has them, for this long.
fn queued_for(time: Duration) -> Vec<Step> {
    let word = say(StreamMessage::Queued(QueuePosition { ahead: 1, in_ms: None }));
    let pause = Step::Wait(limits::KEEP_ALIVE_INTERVAL.saturating_sub(Duration::from_millis(1)));
    let words = time.as_secs() / limits::KEEP_ALIVE_INTERVAL.as_secs();
    (0..words).flat_map(|_| [word.clone(), pause.clone()]).collect()
}

/// Its turn may come after hours: a source that says so is neither silent nor stalled nor slow. Once it has a place, it
/// has to get on.
#[tokio::test(start_paused = true)]
async fn a_source_is_waited_for_as_long_as_it_says_so() {
    for another_waits in [false, true] {
        let stream = [queued_for(Duration::from_hours(1)), small_game::stream()].concat();
        let ended = receive_with(another_waits, stream, Fault::None, Duration::ZERO).await;
        assert!(ended.result.is_ok(), "{ended:?}");
        assert!(ended.after >= Duration::from_mins(59), "{ended:?}");
    }
    let stream = [queued_for(Duration::from_hours(1)), vec![Step::Silence]].concat();
    let ended = receive_from(stream, Fault::None, Duration::ZERO).await;
    assert_eq!(ended.timeout(), Some(("frame", limits::STREAM_IDLE_DEADLINE)), "{ended:?}");
    let stream = [queued_for(Duration::from_hours(1)), vec![Step::KeepAlives]].concat();
    let ended = receive_from(stream, Fault::None, Duration::ZERO).await;
    assert_eq!(ended.timeout(), Some(("progress", limits::STREAM_STALL_DEADLINE)), "{ended:?}");
}

/// The wait ends when patience does, also between two words of the source, and not once the stream has begun.
#[tokio::test(start_paused = true)]
async fn patience_ends_a_wait_and_not_a_stream() {
    let patience = Duration::from_millis(500);
    for (begins, expected) in [(false, true), (true, false)] {
        let word = say(StreamMessage::Queued(QueuePosition { ahead: 7, in_ms: Some(9) }));
        let mut stream = vec![word];
        if begins {
            stream.push(say(StreamMessage::KeepAlive));
        }
        stream.push(Step::Wait(Duration::from_millis(1500)));
        stream.extend(small_game::stream());
        let source = LyingSource::new("source", Vec::new(), stream);
        let (near, far) = duplex(4096);
        let (steps, _, mut queue) = staging_queue(false);
        let receiving = async {
            let mut connection = asked(near).await;
            let mut watching = Watching { patience: Some(patience), ..Watching::default() };
            let begun = Instant::now();
            let policy = NamePolicy::Portable;
            let ended =
                receive(&mut connection, grammar(), policy, false, steps, Meter::unlimited(), &mut watching)
                    .await;
            (ended, begun.elapsed(), watching.queued)
        };
        let staging = async { while queue.take().await.is_some() {} };
        let speaking = async {
            let _ = source.speak(far, pipe().1, Greeting::Honest).await;
            std::future::pending::<()>().await;
        };
        let ((ended, after, queued), ()) = tokio::select! {
            () = speaking => unreachable!(),
            ended = async { tokio::join!(receiving, staging) } => ended,
        };
        let gave_up = matches!(ended, Err(AttemptError::NoPlace(QueuePosition { ahead: 7, in_ms: Some(9) })));
        assert_eq!((gave_up, ended.is_ok(), queued), (expected, !expected, 1), "{ended:?}");
        assert!(!gave_up || after <= patience + Duration::from_millis(2), "{after:?}");
    }
}

/// A source that repeats without pause that there is no place breaks the protocol.
#[tokio::test(start_paused = true)]
async fn a_flood_of_words_about_the_queue_is_refused() {
    let word = StreamItem::Control(StreamMessage::Queued(QueuePosition { ahead: 1, in_ms: None }));
    let ended = receive_from(vec![Step::Flood(word)], Fault::None, Duration::ZERO).await;
    let refused =
        matches!(ended.result, Err(AttemptError::Wire(WireError::Unexpected { got: "queued", .. })));
    assert!(refused && ended.after < limits::KEEP_ALIVE_INTERVAL, "{ended:?}");
}

/// What arrives waits for the limit of the receiver for longer than a source may be slow, or silent, or without progress.
#[tokio::test(start_paused = true)]
async fn a_limited_receiver_does_not_take_its_source_for_a_slow_one() {
    let waiting = 2 * limits::STREAM_STALL_DEADLINE;
    let meter = Traffic::occupied(waiting).downlink().meter(TrafficKind::Stream);
    let bytes = 4 * 1024 * 1024;
    let ended = receive_limited(meter, large_file(bytes, 64 * 1024)).await;
    assert!(ended.result.is_ok(), "{ended:?}");
    let expected = waiting + Duration::from_secs(bytes as u64 / limits::LIMIT_RATE_MIN);
    assert!(ended.after.abs_diff(expected) < Duration::from_secs(2), "{:?}, not {expected:?}", ended.after);
}
