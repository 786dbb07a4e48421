//! Guests share what a source has: none keeps another one out, and none is cut off while no other guest needs its place.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use lanspread_proto::chunk::{ChunkItem, ChunkMessage, ChunkRequest};
use lanspread_testing::programs::until;

use super::*;

/// A provider whose decoders send their first bytes and then nothing until they are cancelled. A listing takes as long as
/// `is_slow` says so.
#[derive(Default)]
pub(super) struct WaitingProvider {
    is_slow: AtomicBool,
    listed: AtomicUsize,
    dictionary_bytes: u64,
}

impl ArchiveProvider for WaitingProvider {
    fn open(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        while self.is_slow.load(Ordering::Relaxed) && !cancel.is_cancelled() {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.listed.fetch_add(1, Ordering::Relaxed);
        let dictionary = self.dictionary_bytes;
        Ok(FakeArchive::with_dictionary(archive.name(), ToldProvider::file(), dictionary, |push, cancel| {
            push(EntryStep::Data(&vec![7; limits::DATA_CHUNK_BYTES]))?;
            while !cancel.is_cancelled() {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(ArchiveError::Cancelled)
        }))
    }
}

/// Begins a download or a stream from an address; how it was answered is for the caller to read.
async fn begin(serving: &Serving, last: u8, stream: bool) -> (Connection<DuplexStream>, JoinHandle<()>) {
    let (mut guest, served) = serving.guest(last).await;
    let (game, version) = (small_game::game(), small_game::version());
    let request =
        if stream { Request::StreamInstall { game, version } } else { Request::Download { game, version } };
    guest.send(&request).await.unwrap();
    (guest, served)
}

/// A download that has begun.
async fn download(serving: &Serving, last: u8) -> (Connection<DuplexStream>, JoinHandle<()>) {
    let (mut guest, served) = begin(serving, last, false).await;
    let reply = guest.receive("reply", limits::REPLY_DEADLINE).await.unwrap();
    assert!(matches!(reply, Some(Reply::DownloadReady { .. })), "{reply:?}");
    (guest, served)
}

/// A stream that has begun.
async fn stream(serving: &Serving, last: u8) -> (Connection<DuplexStream>, JoinHandle<()>) {
    let (mut guest, served) = begin(serving, last, true).await;
    read_until_data(&mut guest).await;
    (guest, served)
}

/// How many are before a stream that waits.
async fn ahead(connection: &mut Connection<DuplexStream>) -> u32 {
    match connection.receive_item().await.unwrap() {
        StreamItem::Control(StreamMessage::Queued(position)) => position.ahead,
        other => panic!("{other:?}"),
    }
}

/// Why a stream is refused or ends.
async fn refusal(connection: &mut Connection<DuplexStream>) -> Refusal {
    match read_to_end(connection).await {
        (Some(StreamItem::Control(StreamMessage::Failed(refusal))), _) => refusal,
        other => panic!("{other:?}"),
    }
}

fn outcomes(events: &mut crate::report::channel::PeerEvents) -> Vec<String> {
    let ends = std::iter::from_fn(|| events.try_next()).filter_map(|event| match event {
        PeerEvent::TransferEnd { outcome, .. } => Some(outcome.into_owned()),
        _ => None,
    });
    ends.collect()
}

/// One address holds every place with downloads that ask for nothing. Each of eight other guests is served at once.
#[tokio::test]
async fn a_guest_that_holds_every_place_keeps_no_guest_out() {
    let serving = Serving::with(Arc::new(WaitingProvider::default()), None, 8);
    let mut events = serving.source.events.subscribe();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(download(&serving, 66).await);
    }
    let mut guests = Vec::new();
    for last in 1..=8 {
        guests.push(stream(&serving, last).await);
    }
    let (mut late, _) = begin(&serving, 9, true).await;
    assert_eq!(ahead(&mut late).await, 0, "it is next");
    for (mut guest, served) in held {
        match guest.halves().0.item(bytes::BytesMut::new()).await.unwrap() {
            ChunkItem::Control(ChunkMessage::Failed(refusal)) => assert_eq!(refusal.code, RefusalCode::Busy),
            other => panic!("{other:?}"),
        }
        serving.assert_ends(served, "gave way").await;
    }
    assert_eq!(outcomes(&mut events), ["gave-way"; 8]);
    for (guest, served) in guests {
        drop(guest);
        serving.assert_ends(served, "a guest").await;
    }
}

/// Eight receivers behind one address use every place while no other guest asks. Six other guests get theirs, then the
/// address has its share left, which it keeps. The streams that have sent the least give way.
#[tokio::test]
async fn many_receivers_behind_one_address_use_what_no_other_wants() {
    let serving = Serving::with(Arc::new(WaitingProvider::default()), None, 8);
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(stream(&serving, 66).await);
    }
    assert_eq!(serving.source.active_transfers(), 8);
    let (mut ninth, _) = begin(&serving, 66, true).await;
    assert_eq!(ahead(&mut ninth).await, 0);
    let mut others = Vec::new();
    for last in 1..=6 {
        others.push(stream(&serving, last).await);
        let ended = || streams.iter().filter(|(_, served)| served.is_finished()).count();
        until("one stream gives way", || ended() == usize::from(last)).await;
    }
    let (mut late, _) = begin(&serving, 7, true).await;
    assert_eq!(ahead(&mut late).await, 1);
    assert_eq!(serving.source.waiting_transfers(), 2);
    assert_eq!(streams.iter().filter(|(_, served)| !served.is_finished()).count(), 2);
    assert!(others.iter().all(|(_, served)| !served.is_finished()));
    let receivers = serving.source.receivers();
    let of = |last: u8| receivers.iter().find(|one| one.addr == std::net::IpAddr::from([10, 0, 0, last]));
    assert_eq!(of(66).map(|one| one.transfers), Some(2), "status says where the places are");
    assert_eq!((of(1).map(|one| one.transfers), receivers.len()), (Some(1), 7));
}

/// Every place is held from the very address of the guest that asks, by downloads that ask for nothing: the one that is
/// idle longest gives way.
#[tokio::test(start_paused = true)]
async fn an_idle_download_gives_way_also_to_its_own_address() {
    let serving = Serving::with(Arc::new(UntouchedProvider), None, 3);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(download(&serving, 66).await);
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    tokio::time::advance(limits::TRANSFER_IDLE_MIN).await;
    // The first one has asked for something since.
    held[0].0.send(&ChunkRequest { file: 0, offset: 0, length: 1 }).await.unwrap();
    while !matches!(
        held[0].0.halves().0.item(bytes::BytesMut::new()).await.unwrap(),
        ChunkItem::Control(ChunkMessage::End { .. })
    ) {}
    let (_guest, _) = download(&serving, 66).await;
    let (_, served) = held.remove(1);
    serving.assert_ends(served, "idle longest").await;
    assert!(held.iter().all(|(_, served)| !served.is_finished()));
}

/// Where every guest has an address of its own, the limit is the limit, and nothing that runs gives way.
#[tokio::test]
async fn guests_within_their_share_are_never_cut_off() {
    let serving = Serving::with(Arc::new(WaitingProvider::default()), None, 8);
    let mut streams = Vec::new();
    for last in 1..=8 {
        streams.push(stream(&serving, last).await);
    }
    let mut waiting = Vec::new();
    for last in 9..=12 {
        let (mut late, served) = begin(&serving, last, true).await;
        assert_eq!(ahead(&mut late).await, u32::from(last) - 9);
        waiting.push((late, served));
    }
    assert!(streams.iter().all(|(_, served)| !served.is_finished()));
    assert_eq!(serving.source.active_transfers(), 8);
}

/// After another guest has asked, one address does not get the last places, and its next receiver waits behind no one.
#[tokio::test]
async fn the_last_places_are_kept_for_other_guests() {
    let serving = Serving::with(Arc::new(WaitingProvider::default()), None, 8);
    let (other, served) = stream(&serving, 1).await;
    drop(other);
    serving.assert_ends(served, "the other").await;
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(stream(&serving, 66).await);
    }
    let (mut seventh, _) = begin(&serving, 66, true).await;
    assert_eq!(ahead(&mut seventh).await, 0);
    let _kept = [stream(&serving, 1).await, stream(&serving, 2).await];
    assert!(held.iter().all(|(_, served)| !served.is_finished()));
}

/// Sixty listings of one guest run or wait. Everything that costs next to nothing is answered at once, also to that
/// guest; another guest's listing has its turn at once.
#[tokio::test]
async fn listings_delay_only_their_sender() {
    let provider = Arc::new(WaitingProvider::default());
    let serving = Serving::with(Arc::clone(&provider) as Arc<dyn ArchiveProvider>, None, 8);
    let totals = || Request::Totals { game: small_game::game(), version: small_game::version() };
    provider.is_slow.store(true, Ordering::Relaxed);
    let mut flood = Vec::new();
    for _ in 0..60 {
        let (mut guest, served) = serving.guest(66).await;
        guest.send(&totals()).await.unwrap();
        flood.push((guest, served));
    }
    for last in [66, 1] {
        for request in [
            Request::Details { game: small_game::game() },
            Request::Status,
            Request::News { library: None, activity: None },
        ] {
            let (mut guest, _served) = serving.guest(last).await;
            guest.send(&request).await.unwrap();
            let reply = guest.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
            assert_eq!(refusal_code(&reply), None, "{request:?} of {last}");
        }
    }
    assert_eq!(provider.listed.load(Ordering::Relaxed), 0, "nothing is listed yet");
    provider.is_slow.store(false, Ordering::Relaxed);
    let (mut guest, _served) = serving.guest(1).await;
    guest.send(&totals()).await.unwrap();
    let reply = guest.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
    assert!(matches!(reply, Reply::Totals { archives: 1, .. }), "{reply:?}");
    for (mut guest, _) in flood {
        let again = guest.receive::<Reply>("reply", limits::REPLY_DEADLINE).await.unwrap().unwrap();
        assert_eq!(again, reply);
    }
    let listed = provider.listed.load(Ordering::Relaxed);
    assert!(listed <= 2, "listed {listed} times: the answer is remembered");
}

/// A receiver asks for one byte shortly before each deadline, for ever. It loses its place.
#[tokio::test(start_paused = true)]
async fn a_download_of_one_byte_now_and_then_loses_its_place() {
    let serving = Serving::with(Arc::new(UntouchedProvider), None, 1);
    let mut events = serving.source.events.subscribe();
    let (mut guest, served) = download(&serving, 66).await;
    let begun = Instant::now();
    let refusal = loop {
        assert!(begun.elapsed() < Duration::from_mins(10), "it still has its place");
        let wait = limits::REQUEST_IDLE_DEADLINE * 5 / 6;
        // Paused time does not advance by itself while the reader's thread waits.
        tokio::time::advance(wait).await;
        guest.send(&ChunkRequest { file: 0, offset: 0, length: 1 }).await.unwrap();
        let mut bytes = 0;
        let ended = loop {
            match guest.halves().0.item(bytes::BytesMut::new()).await.unwrap() {
                ChunkItem::Data(data) => bytes += data.len(),
                ChunkItem::Control(ChunkMessage::KeepAlive) => {}
                ChunkItem::Control(ChunkMessage::End { .. }) => break None,
                ChunkItem::Control(ChunkMessage::Failed(refusal)) => break Some(refusal),
            }
        };
        match ended {
            Some(refusal) => break refusal,
            None => assert_eq!(bytes, 1),
        }
    };
    assert_eq!(refusal.code, RefusalCode::Busy);
    assert!(begun.elapsed() < 4 * limits::RECEIVER_WINDOW, "{:?}", begun.elapsed());
    serving.assert_ends(served, "too slow").await;
    assert_eq!(outcomes(&mut events), ["receiver-slow"]);
    serving.assert_quiet("too slow");
}

/// Streams whose dictionaries would need more memory than there is are refused as busy, before anything is announced;
/// memory of a stream that has ended is given to the next one. Downloads need none.
#[tokio::test]
async fn dictionaries_of_all_streams_together_are_bounded() {
    let quarter = limits::DICTIONARIES_BYTES_MIN / 4;
    let provider = WaitingProvider { dictionary_bytes: quarter, ..WaitingProvider::default() };
    let mut serving = Serving::with(Arc::new(provider), None, 8);
    let source = Arc::get_mut(&mut serving.source).unwrap();
    source.dictionaries = dictionaries::Dictionaries::new(0);
    let mut streams = vec![stream(&serving, 1).await, stream(&serving, 1).await];
    let (mut third, _) = begin(&serving, 1, true).await;
    let refused = refusal(&mut third).await;
    assert_eq!(refused.code, RefusalCode::Busy);
    assert!(refused.message.contains("dictionaries"), "one guest has half: {}", refused.message);
    streams.push(stream(&serving, 2).await);
    streams.push(stream(&serving, 3).await);
    let (mut late, _) = begin(&serving, 4, true).await;
    let item = late.receive_item().await.unwrap();
    assert!(matches!(item, StreamItem::Control(StreamMessage::Failed(_))), "nothing was announced: {item:?}");
    download(&serving, 4).await;
    let (first, served) = streams.remove(0);
    drop(first);
    serving.assert_ends(served, "the first").await;
    stream(&serving, 4).await;
}
