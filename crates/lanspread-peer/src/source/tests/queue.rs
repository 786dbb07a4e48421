//! No receiver is refused for coming ninth: those that find no place wait, in a fair order, and hear where they stand.

use std::collections::VecDeque;

use lanspread_proto::chunk::{ChunkItem, ChunkMessage, ChunkRequest};
use lanspread_proto::queued::QueuePosition;

use super::guests::WaitingProvider;
use super::*;

/// A receiver that has asked and waits.
struct Waiting {
    connection: Connection<DuplexStream>,
    served: JoinHandle<()>,
}

impl Waiting {
    async fn asks(serving: &Serving, last: u8, stream: bool) -> Self {
        let (mut connection, served) = serving.guest(last).await;
        let (game, version) = (small_game::game(), small_game::version());
        let request = if stream {
            Request::StreamInstall { game, version }
        } else {
            Request::Download { game, version }
        };
        connection.send(&request).await.unwrap();
        Self { connection, served }
    }

    /// Where it stands, as the source says next.
    async fn position(&mut self) -> QueuePosition {
        match self.connection.receive_item().await.unwrap() {
            StreamItem::Control(StreamMessage::Queued(position)) => position,
            other => panic!("{other:?}"),
        }
    }

    /// The first message that is not about the queue.
    async fn turn(&mut self) -> StreamMessage {
        loop {
            match self.connection.receive_item().await.unwrap() {
                StreamItem::Control(StreamMessage::Queued(_) | StreamMessage::KeepAlive) => {}
                StreamItem::Control(message) => return message,
                StreamItem::Data(_) => panic!("data before anything"),
            }
        }
    }
}

/// Streams of sixteen receivers of one source with eight places all have their turn, in the order in which they came.
#[tokio::test]
async fn the_ninth_receiver_waits_and_has_its_turn() {
    let serving = Serving::with(Arc::new(WaitingProvider::default()), None, 8);
    let mut receivers = VecDeque::new();
    for last in 1..=16 {
        let mut receiver = Waiting::asks(&serving, last, true).await;
        if last > 8 {
            assert_eq!(receiver.position().await.ahead, u32::from(last) - 9);
        } else {
            assert!(matches!(receiver.turn().await, StreamMessage::Begin { .. }), "{last}");
        }
        receivers.push_back(receiver);
    }
    assert_eq!((serving.source.active_transfers(), serving.source.waiting_transfers()), (8, 8));
    for waiting in (0..8).rev() {
        let first = receivers.pop_front().unwrap();
        drop(first.connection);
        serving.assert_ends(first.served, "the first").await;
        let begun = receivers[7].turn().await;
        assert!(matches!(begun, StreamMessage::Begin { .. }), "{begun:?}");
        assert_eq!((serving.source.active_transfers(), serving.source.waiting_transfers()), (8, waiting));
    }
    for receiver in receivers {
        drop(receiver.connection);
        serving.assert_ends(receiver.served, "the rest").await;
    }
    serving.assert_quiet("sixteen");
}

/// While the clock stands still but for the keep-alives: one that waits hears of it at once and at every interval, also
/// for hours, and has its turn when a place becomes free.
#[tokio::test(start_paused = true)]
async fn one_that_waits_hears_of_it_and_of_its_turn() {
    let (_orders, provider) = told();
    let serving = Serving::with(provider, None, 1);
    let (mut first, served) = serving.small_stream(64 * 1024).await;
    read_until_file_while_paused(&mut first).await;
    let mut second = Waiting::asks(&serving, 2, true).await;
    let mut third = Waiting::asks(&serving, 3, true).await;
    assert_eq!((second.position().await.ahead, third.position().await.ahead), (0, 1));
    for _ in 0..1000 {
        tokio::time::advance(limits::KEEP_ALIVE_INTERVAL).await;
        assert_eq!((second.position().await.ahead, third.position().await.ahead), (0, 1));
    }
    drop(first);
    serving.assert_ends(served, "the first").await;
    let turn = second.turn();
    let mut turn = std::pin::pin!(turn);
    let begun = loop {
        if let Some(begun) = at_this_moment(&mut turn).await {
            break begun;
        }
        tokio::time::advance(limits::STREAM_BATCH_WAIT).await;
    };
    assert!(matches!(begun, StreamMessage::Begin { .. }), "{begun:?}");
    tokio::time::advance(limits::KEEP_ALIVE_INTERVAL).await;
    assert_eq!(third.position().await.ahead, 0);
}

/// One that goes away leaves the queue at once, and the others move up. So does one that says something instead of
/// waiting.
#[tokio::test]
async fn one_that_leaves_frees_its_place_in_the_queue() {
    let (_orders, provider) = told();
    let serving = Serving::with(provider, None, 1);
    let (mut first, _served) = serving.small_stream(64 * 1024).await;
    read_until_file(&mut first).await;
    let mut waiting = Vec::new();
    for last in 2..=4 {
        let mut one = Waiting::asks(&serving, last, last % 2 == 0).await;
        if last % 2 == 0 {
            assert_eq!(one.position().await.ahead, u32::from(last) - 2);
        } else {
            let reply = one.connection.receive("reply", limits::REPLY_DEADLINE).await.unwrap();
            assert!(matches!(reply, Some(Reply::Queued(QueuePosition { ahead: 1, .. }))), "{reply:?}");
        }
        waiting.push(one);
    }
    let mut last = waiting.pop().unwrap();
    let (mut talks, leaves) = (waiting.pop().unwrap(), waiting.pop().unwrap());
    drop(leaves.connection);
    serving.assert_ends(leaves.served, "it left").await;
    assert_eq!(serving.source.waiting_transfers(), 2);
    talks.connection.send(&Request::Status).await.unwrap();
    serving.assert_ends(talks.served, "it talked").await;
    assert_eq!(serving.source.waiting_transfers(), 1);
    while last.position().await.ahead > 0 {}
}

/// Those that wait are told that the source stops.
#[tokio::test]
async fn one_that_waits_is_told_that_the_source_stops() {
    let (_orders, provider) = told();
    let serving = Serving::with(provider, None, 1);
    let (mut first, _served) = serving.small_stream(64 * 1024).await;
    read_until_file(&mut first).await;
    let mut stream = Waiting::asks(&serving, 2, true).await;
    let mut download = Waiting::asks(&serving, 3, false).await;
    stream.position().await;
    let queued = download.connection.receive("reply", limits::REPLY_DEADLINE).await.unwrap();
    assert!(matches!(queued, Some(Reply::Queued(_))), "{queued:?}");
    serving.stop.cancel();
    let told = stream.turn().await;
    assert!(
        matches!(&told, StreamMessage::Failed(refusal) if refusal.code == RefusalCode::Stopping),
        "{told:?}"
    );
    let told = download.connection.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
    assert_eq!(refusal_code(&told), Some("source-stopping"));
    for served in [stream.served, download.served] {
        serving.assert_ends(served, "the source stops").await;
    }
    assert_eq!(serving.source.waiting_transfers(), 0);
}

/// Two hundred receivers of one address: most of them are refused as busy, and another guest has its turn at once.
#[tokio::test]
async fn a_crowd_of_one_address_waits_for_itself() {
    let serving = Serving::with(Arc::new(UntouchedProvider), None, 2);
    let mut crowd = Vec::new();
    let mut refused = 0;
    for _ in 0..200 {
        let mut one = Waiting::asks(&serving, 66, false).await;
        let reply = one.connection.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
        match reply {
            Reply::Refused(refusal) => {
                assert_eq!(refusal.code, RefusalCode::Busy);
                assert!(refusal.message.contains("2 receivers at most, 2 of them"), "{}", refusal.message);
                refused += 1;
            }
            _ => crowd.push(one),
        }
    }
    assert_eq!((crowd.len(), refused), (2 + limits::QUEUE_PER_GUEST_MAX, 198 - limits::QUEUE_PER_GUEST_MAX));
    assert_eq!(serving.source.waiting_transfers(), limits::QUEUE_PER_GUEST_MAX);
    let mut other = Waiting::asks(&serving, 1, false).await;
    let reply = other.connection.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
    assert!(matches!(reply, Reply::DownloadReady { .. }), "a lent place is its own: {reply:?}");
}

/// A download that asks for nothing gives way to one that waits, but a new one is not taken for idle. So downloads take
/// turns, and do not take the place from each other before anything was sent.
#[tokio::test(start_paused = true)]
async fn an_idle_download_gives_way_to_one_that_waits() {
    let serving = Serving::with(Arc::new(UntouchedProvider), None, 1);
    let begun = Instant::now();
    let mut idle = Waiting::asks(&serving, 1, false).await;
    let reply = idle.connection.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
    assert!(matches!(reply, Reply::DownloadReady { .. }));
    let mut next = Waiting::asks(&serving, 2, false).await;
    loop {
        let reply = next.connection.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
        if matches!(reply, Reply::DownloadReady { .. }) {
            break;
        }
        assert!(matches!(reply, Reply::Queued(_)), "{reply:?}");
        tokio::time::advance(limits::KEEP_ALIVE_INTERVAL).await;
    }
    assert!(begun.elapsed() >= limits::TRANSFER_IDLE_MIN, "{:?}", begun.elapsed());
    match idle.connection.halves().0.item(bytes::BytesMut::new()).await.unwrap() {
        ChunkItem::Control(ChunkMessage::Failed(refusal)) => assert_eq!(refusal.code, RefusalCode::Busy),
        other => panic!("{other:?}"),
    }
    next.connection.send(&ChunkRequest { file: 0, offset: 0, length: 1 }).await.unwrap();
    let item = loop {
        match next.connection.halves().0.item(bytes::BytesMut::new()).await.unwrap() {
            ChunkItem::Control(ChunkMessage::KeepAlive) => {}
            item => break item,
        }
    };
    assert!(matches!(item, ChunkItem::Data(_)), "{item:?}");
}

/// One that waits reads nothing, so an operation that needs the game quiet does not wait for it.
#[tokio::test]
async fn one_that_waits_holds_no_reader() {
    let serving = Serving::with(Arc::new(UntouchedProvider), None, 1);
    let held = Waiting::asks(&serving, 1, false).await;
    let mut next = Waiting::asks(&serving, 2, false).await;
    let reply = next.connection.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
    assert!(matches!(reply, Reply::Queued(_)), "{reply:?}");
    drop(held.connection);
    serving.assert_ends(held.served, "it left").await;
    let reply = next.connection.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
    assert!(matches!(reply, Reply::DownloadReady { .. }), "{reply:?}");
    let mut third = Waiting::asks(&serving, 3, false).await;
    let reply = third.connection.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
    assert!(matches!(reply, Reply::Queued(_)), "{reply:?}");
    drop(next.connection);
    let game = small_game::game();
    let quiet = serving.source.readers.quiesce(&game, Duration::from_hours(1));
    let quiet = timeout(Duration::from_secs(20), quiet).await.expect("it waits for no transfer");
    drop(quiet);
}
