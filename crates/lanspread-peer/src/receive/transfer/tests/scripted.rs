//! Sources that do what a script says, and a transfer that is driven step by step: the tests decide what it hears and
//! what time it is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::BytesMut;
use lanspread_proto::message::{Refusal, RefusalCode};
use lanspread_testing::machine::Machine;
use lanspread_types::checksum::Checksum;

use super::*;
use crate::receive::chunk_writer::ChunkWrite;
use crate::receive::transfer_source::TransferSource;
use crate::trust::select::PeerOffer;

/// Bytes of each file, which is one chunk.
const FILE_BYTES: u64 = 10;

/// What a source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// It sends the next chunk.
    Send,
    /// It sends a byte of the next chunk, and then nothing more.
    Stall,
    /// Its task panics when the next chunk is due.
    Panic,
    /// It refuses to be opened.
    Refuse(RefusalCode),
    /// Its task panics when it is opened.
    PanicAtOnce,
    /// It has no place, says so this often, and then has one.
    Queue(u32),
}

/// A source and its script. The last act is repeated.
struct Actor {
    offer: PeerOffer,
    acts: Mutex<VecDeque<Act>>,
    opened: AtomicUsize,
    is_fetching: AtomicBool,
}

impl Actor {
    fn new(name: &str, acts: &[Act], files: &[RootFile]) -> Arc<Self> {
        let offer = PeerOffer {
            name: name.parse().unwrap(),
            id: PeerId::random().unwrap(),
            instance: 1,
            address: ([127, 0, 0, 1], 1).into(),
            version: "1".parse().unwrap(),
            files: files.to_vec(),
            load: None,
            manifest: None,
            manifest_in_ms: None,
            penalty: None,
            entries: None,
        };
        Arc::new(Self {
            offer,
            acts: Mutex::new(acts.iter().copied().collect()),
            opened: AtomicUsize::new(0),
            is_fetching: AtomicBool::new(false),
        })
    }

    fn next_act(&self) -> Act {
        let mut acts = self.acts.lock().unwrap();
        if acts.len() > 1 { acts.pop_front().unwrap() } else { acts[0] }
    }
}

struct Scripts(Vec<Arc<Actor>>);

struct Playing {
    actor: Arc<Actor>,
    fingerprints: Vec<u64>,
}

impl OpenSource for Scripts {
    type Source = Playing;

    async fn open(
        &self,
        source: &TransferSource,
        wanted: Wanted<'_>,
        mut queued: impl FnMut(QueuePosition) + Send,
    ) -> Result<Playing, WireError> {
        let actor = self.0.iter().find(|actor| actor.offer.id == source.record_id()).unwrap();
        actor.opened.fetch_add(1, Ordering::Relaxed);
        let first = actor.acts.lock().unwrap()[0];
        match first {
            Act::Refuse(code) => {
                actor.next_act();
                Err(WireError::Refused(Refusal::new(code, "no")))
            }
            Act::PanicAtOnce => panic!("this panic is part of a test"),
            Act::Queue(words) => {
                actor.next_act();
                for ahead in (0..words).rev() {
                    queued(QueuePosition { ahead, in_ms: None });
                    tokio::time::sleep(limits::KEEP_ALIVE_INTERVAL).await;
                }
                Ok(Playing { actor: Arc::clone(actor), fingerprints: vec![1; wanted.files.len()] })
            }
            _ => Ok(Playing { actor: Arc::clone(actor), fingerprints: vec![1; wanted.files.len()] }),
        }
    }
}

impl ChunkSource for Playing {
    fn fingerprints(&self) -> &[u64] {
        &self.fingerprints
    }

    async fn fetch(
        &mut self,
        orders: &mut mpsc::Receiver<Chunk>,
        writes: mpsc::Sender<ChunkWrite>,
        _: &Buffers,
        arrivals: &Arc<Arrivals>,
    ) -> Result<(), FetchError> {
        self.actor.is_fetching.store(true, Ordering::Relaxed);
        while let Some(chunk) = orders.recv().await {
            let content = vec![7; usize::try_from(chunk.length).unwrap()];
            match self.actor.next_act() {
                Act::Send => {
                    arrivals.count(chunk.length);
                    let data = BytesMut::from(&content[..]);
                    arrivals.deliver(&writes, ChunkWrite::Data { chunk, offset: 0, data }).await?;
                    let checksum = Checksum::of(&content);
                    arrivals.deliver(&writes, ChunkWrite::End { chunk, checksum }).await?;
                }
                Act::Stall => {
                    arrivals.count(1);
                    std::future::pending::<()>().await;
                }
                Act::Panic => panic!("this panic is part of a test"),
                Act::Refuse(code) => return Err(WireError::Refused(Refusal::new(code, "no")).into()),
                Act::PanicAtOnce | Act::Queue(_) => unreachable!("it was not opened"),
            }
        }
        Ok(())
    }
}

/// A receiver, and sources that offer as many chunks as asked for.
struct Stage {
    _machine: Machine,
    actors: Vec<Arc<Actor>>,
    target: Arc<DownloadTarget>,
    files: Vec<RootFile>,
    events: EventSender,
    heard: PeerEvents,
    tasks: Tasks,
    wait: Wait,
}

impl Stage {
    fn new(chunks: usize, actors: &[(&str, &[Act])]) -> Self {
        let machine = Machine::new();
        let games = GamesDir::open(&machine.games_dir()).unwrap();
        let name = |number| if number == 0 { "version.ini".to_owned() } else { format!("{number}.eti") };
        let mut files: Vec<RootFile> =
            (0..chunks).map(|number| RootFile { name: name(number), size: FILE_BYTES }).collect();
        files.sort();
        let (game, version) = ("g".parse().unwrap(), "1".parse().unwrap());
        let (partials, journal) =
            partials::prepare(&games, &game, &version, &files, None, &CancellationToken::new()).unwrap();
        let journal = Mutex::new(journal);
        let target = DownloadTarget { partials, journal, booking: None, written_bytes: AtomicU64::new(0) };
        let events = EventSender::new();
        Self {
            actors: actors.iter().map(|(name, acts)| Actor::new(name, acts, &files)).collect(),
            _machine: machine,
            target: Arc::new(target),
            files,
            heard: events.subscribe(),
            events,
            tasks: Tasks::default(),
            wait: Wait::Always,
        }
    }

    fn context(&self) -> TransferContext<Scripts> {
        TransferContext {
            game: "g".parse().unwrap(),
            version: "1".parse().unwrap(),
            files: self.files.clone(),
            sources: self
                .actors
                .iter()
                .map(|actor| TransferSource::Peer(Box::new(actor.offer.clone())))
                .collect(),
            target: Arc::clone(&self.target),
            listed: None,
            locked: None,
            connect: Scripts(self.actors.clone()),
            patience: Patience::new(self.wait),
            events: self.events.clone(),
            tasks: self.tasks.clone(),
            cancel: CancellationToken::new(),
        }
    }

    /// The failures of sources: name, code, when it is tried again, other sources that are left.
    fn failures(&mut self) -> Vec<(String, String, Option<u64>, u64)> {
        let heard = std::iter::from_fn(|| self.heard.try_next());
        heard
            .filter_map(|event| match event {
                PeerEvent::DownloadSourceFailed { peer, code, retry_ms, sources_left, .. } => {
                    Some((peer.to_string(), code.into_owned(), retry_ms, sources_left))
                }
                _ => None,
            })
            .collect()
    }
}

/// A transfer between two steps. While a source is open its writer thread runs, so the paused clock stands still unless
/// a test moves it.
struct Steps {
    transfer: Transfer<Scripts>,
    heard: mpsc::Receiver<SourceNews>,
}

impl Steps {
    fn of(stage: &Stage) -> Self {
        let (transfer, heard) = Transfer::new(stage.context());
        Self { transfer, heard }
    }

    /// Carries out decisions and hears news until `done`. Each news is heard `later`.
    async fn until(&mut self, later: Duration, done: impl Fn(&Transfer<Scripts>) -> bool) {
        loop {
            self.transfer.act();
            if done(&self.transfer) {
                return;
            }
            let news = self.heard.recv().await.unwrap();
            tokio::time::advance(later).await;
            self.transfer.hear(news).unwrap();
        }
    }

    /// What the ticks of a whole span do, in one step.
    async fn pass_a_span(&mut self) {
        for source in 0..self.transfer.sources.len() {
            self.transfer.judge(source);
        }
        tokio::time::advance(limits::SLOW_SOURCE_SPAN).await;
        for source in 0..self.transfer.sources.len() {
            self.transfer.judge(source);
        }
    }

    async fn stop(mut self) -> Vec<(String, u64)> {
        drop(self.heard);
        self.transfer.stop().await;
        let shares = self.transfer.shares().into_iter();
        shares.map(|share| (share.peer.to_string(), share.chunks)).collect()
    }
}

fn too_slow(name: &str, sources_left: u64) -> (String, String, Option<u64>, u64) {
    (name.to_owned(), "too-slow".to_owned(), None, sources_left)
}

/// As many slow sources as may be open at once hold neither the last chunk nor all places.
#[tokio::test(start_paused = true)]
async fn slow_sources_are_left_for_one_that_was_never_open() {
    for slow in [1, 2, limits::DOWNLOAD_SOURCES_MAX] {
        let names: Vec<String> = (0..slow).map(|number| format!("slow-{number}")).collect();
        let mut actors: Vec<(&str, &[Act])> =
            names.iter().map(|name| (name.as_str(), &[Act::Stall][..])).collect();
        actors.push(("z", &[Act::Send]));
        // As many chunks as slow sources, so that there is none left for the good one.
        let mut stage = Stage::new(slow, &actors);
        let mut steps = Steps::of(&stage);
        steps.until(Duration::ZERO, |transfer| (0..slow).all(|source| transfer.plan.is_busy(source))).await;
        assert_eq!(stage.actors[slow].opened.load(Ordering::Relaxed), 0, "it got a place before its time");
        steps.pass_a_span().await;
        steps.until(Duration::ZERO, |transfer| transfer.plan.is_complete()).await;
        let left = slow as u64;
        let expected: Vec<_> = names.iter().map(|name| too_slow(name, left)).collect();
        assert_eq!(stage.failures(), expected);
        assert_eq!(steps.stop().await, [("z".to_owned(), left)]);
        for actor in &stage.actors[..slow] {
            assert_eq!(actor.opened.load(Ordering::Relaxed), 1, "a slow source is not opened again");
        }
    }
}

/// The same with the transfer's own ticks.
#[tokio::test(start_paused = true)]
async fn a_running_transfer_leaves_a_slow_source() {
    let mut stage = Stage::new(1, &[("slow", &[Act::Stall]), ("z", &[Act::Send])]);
    let (slow, mut relieved) = (Arc::clone(&stage.actors[0]), stage.events.subscribe());
    let clock = async {
        while !slow.is_fetching.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        while !matches!(relieved.try_next(), Some(PeerEvent::DownloadSourceFailed { .. })) {
            assert!(begun.elapsed() < 2 * limits::SLOW_SOURCE_SPAN, "it is not left");
            tokio::time::advance(limits::PROGRESS_INTERVAL).await;
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        assert!(begun.elapsed() >= limits::SLOW_SOURCE_SPAN);
        std::future::pending::<()>().await;
    };
    let shares = tokio::select! {
        shares = transfer(stage.context()) => shares.unwrap(),
        () = clock => unreachable!(),
    };
    assert_eq!(
        shares.iter().map(|share| (share.peer.as_str(), share.chunks)).collect::<Vec<_>>(),
        [("z", 1)]
    );
    assert_eq!(stage.failures(), [too_slow("slow", 1)]);
}

/// A slow source is not left if there is no other one, nor for one that is slow too or has failed for good.
#[tokio::test(start_paused = true)]
async fn a_slow_source_that_is_the_best_one_continues() {
    let refusing = [Act::Refuse(RefusalCode::BadRequest)];
    let others: [&[(&str, &[Act])]; 3] = [
        &[("slow", &[Act::Stall])],
        &[("a", &refusing), ("slow", &[Act::Stall])],
        &[("a", &[Act::Stall]), ("slow", &[Act::Stall])],
    ];
    for actors in others {
        let mut stage = Stage::new(2, actors);
        let slow = actors.len() - 1;
        let mut steps = Steps::of(&stage);
        steps.until(Duration::ZERO, |transfer| transfer.plan.is_busy(slow)).await;
        steps.pass_a_span().await;
        steps.pass_a_span().await;
        assert!(steps.transfer.plan.is_busy(slow), "{actors:?}");
        assert!(stage.failures().iter().all(|failure| failure.1 != "too-slow"), "{actors:?}");
        steps.stop().await;
    }
}

/// The rates that are measured decide that an idle source takes over, and interrupting a source ends its task.
#[tokio::test(start_paused = true)]
async fn a_measured_source_is_relieved_by_a_faster_one() {
    let mut stage = Stage::new(3, &[("fast", &[Act::Send]), ("slow", &[Act::Stall])]);
    let mut steps = Steps::of(&stage);
    // The chunks of the fast source take a second each.
    steps.until(Duration::from_secs(1), |transfer| transfer.sources[0].session.is_none()).await;
    while !matches!(steps.heard.recv().await, Some(SourceNews::Ended(0, Ok(())))) {}
    steps.transfer.plan.ended(0, Ending::Asked);
    assert_eq!(stage.failures(), [], "the slow source is not measured yet");
    tokio::time::advance(limits::RATE_SPAN_MIN).await;
    (0..20).for_each(|_| {
        // A span in which nothing arrives; the byte that did arrive is forgotten.
        steps.transfer.sources[1].measured_at = steps.transfer.sources[1].measured_at.map(|at| at - SECOND);
        steps.transfer.measure(1);
    });
    steps.transfer.act();
    assert_eq!(stage.failures(), [too_slow("slow", 1)]);
    assert!(steps.transfer.sources[1].session.is_none(), "interrupted");
    steps.until(Duration::ZERO, |transfer| transfer.plan.is_complete()).await;
    assert_eq!(steps.stop().await, [("fast".to_owned(), 3)]);
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn bytes_that_arrived_are_counted_and_reported_once() {
    let mut stage = Stage::new(2, &[("slow", &[Act::Stall])]);
    let mut steps = Steps::of(&stage);
    steps.until(Duration::ZERO, |transfer| transfer.plan.is_busy(0)).await;
    while steps.transfer.sources[0].arrivals.bytes() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(steps.transfer.plan.here_bytes(), 0);
    for _ in 0..2 {
        steps.transfer.tell_arrived(0);
        assert_eq!(steps.transfer.plan.here_bytes(), 1);
        steps.transfer.report_progress();
    }
    steps.transfer.sources[0].arrivals.count(4);
    steps.transfer.tell_arrived(0);
    steps.transfer.report_progress();
    let progress: Vec<u64> = std::iter::from_fn(|| stage.heard.try_next())
        .filter_map(|event| match event {
            PeerEvent::DownloadProgress { bytes, .. } => Some(bytes),
            _ => None,
        })
        .collect();
    assert_eq!(progress, [1, 5]);
    steps.stop().await;
}

/// A source must not send before the chunks of its changed files are dropped.
#[tokio::test]
async fn nothing_is_fetched_before_the_transfer_can_hear_what_was_dropped() {
    let stage = Stage::new(2, &[("one", &[Act::Send])]);
    // A full channel holds the writer up before it reports that the source is open.
    let (news, mut heard) = mpsc::channel(1);
    news.send(SourceNews::Ended(9, Ok(()))).await.unwrap();
    let (_orders, ordered) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    let arrivals = Arc::new(Arrivals::default());
    let session = run_session(Arc::new(stage.context()), 0, ordered, arrivals, cancel.clone(), news);
    let session = tokio::spawn(session);
    let actor = &stage.actors[0];
    while stage.tasks.running() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!actor.is_fetching.load(Ordering::Relaxed), "it began before the writer was ready");
    assert!(matches!(heard.recv().await, Some(SourceNews::Ended(9, _))));
    assert!(matches!(heard.recv().await, Some(SourceNews::Opened(0, _))));
    while !actor.is_fetching.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    assert!(matches!(heard.recv().await, Some(SourceNews::Ended(0, Ok(())))));
    session.await.unwrap();
}

/// A panic in the task of a source is that source's end and no other's.
#[tokio::test(start_paused = true)]
async fn a_panic_loses_only_its_source() {
    for act in [Act::Panic, Act::PanicAtOnce] {
        let mut stage = Stage::new(6, &[("a", &[act]), ("b", &[Act::Send])]);
        let shares = transfer(stage.context()).await.unwrap();
        assert_eq!(shares.iter().map(|share| share.chunks).collect::<Vec<_>>(), [6]);
        assert_eq!(stage.failures(), [("a".to_owned(), "internal".to_owned(), None, 1)], "{act:?}");
        assert_eq!(stage.tasks.running(), 0);

        let stage = Stage::new(2, &[("a", &[act])]);
        match transfer(stage.context()).await {
            Err(ReceiveError::AllSourcesFailed { attempts, .. }) => assert_eq!(attempts[0].code, "internal"),
            other => panic!("{other:?}"),
        }
    }
}

/// Each failure says when the source is tried again, and whether another one is there.
#[tokio::test(start_paused = true)]
async fn a_busy_source_is_tried_again_after_the_reported_waits() {
    let busy = Act::Refuse(RefusalCode::Busy);
    let failure = |retry_ms| ("one".to_owned(), "busy".to_owned(), retry_ms, 0);
    let mut stage = Stage::new(2, &[("one", &[busy, busy, Act::Send])]);
    let begun = Instant::now();
    transfer(stage.context()).await.unwrap();
    assert_eq!(stage.failures(), [failure(Some(1000)), failure(Some(2000))]);
    assert!(begun.elapsed() >= Duration::from_secs(3));

    let mut stage = Stage::new(2, &[("one", &[busy])]);
    assert!(transfer(stage.context()).await.is_err());
    assert_eq!(stage.failures(), [failure(Some(1000)), failure(Some(2000)), failure(None)]);
}

/// The positions that were reported.
fn positions(stage: &mut Stage) -> Vec<(String, u32)> {
    let heard = std::iter::from_fn(|| stage.heard.try_next());
    let queued = heard.filter_map(|event| match event {
        PeerEvent::Queued(queued) => Some((queued.peer.to_string(), queued.ahead)),
        _ => None,
    });
    queued.collect()
}

/// A source without a place holds up no other one, and is no failure. Alone, it is waited for.
#[tokio::test(start_paused = true)]
async fn a_download_waits_only_for_a_source_alone() {
    let (full, good) = (("full", &[Act::Queue(u32::MAX), Act::Send][..]), ("good", &[Act::Send][..]));
    let mut stage = Stage::new(6, &[full, good]);
    let shares = transfer(stage.context()).await.unwrap();
    assert_eq!(shares.iter().map(|share| share.chunks).collect::<Vec<_>>(), [6]);
    assert_eq!((stage.failures(), stage.tasks.running()), (vec![], 0), "it left the queue");

    let mut stage = Stage::new(3, &[("den", &[Act::Queue(4), Act::Send])]);
    transfer(stage.context()).await.unwrap();
    let den = |ahead| ("den".to_owned(), ahead);
    assert_eq!(positions(&mut stage), [den(3), den(2), den(1), den(0)]);
}

/// A download that waits no longer says of each source where it stood, or why it failed.
#[tokio::test(start_paused = true)]
async fn a_download_that_waits_no_longer_names_each_queue() {
    for (wait_ms, refused) in [(0, false), (3000, false), (3000, true)] {
        let gone = if refused { Act::Refuse(RefusalCode::NotOffered) } else { Act::Queue(900) };
        let mut stage = Stage::new(2, &[("a", &[Act::Queue(1000), Act::Send]), ("b", &[gone, Act::Send])]);
        stage.wait = Wait::For { wait_ms };
        let begun = Instant::now();
        let Err(ReceiveError::NoPlace { attempts, .. }) = transfer(stage.context()).await else {
            panic!("it has a place")
        };
        let of: Vec<_> = attempts.iter().map(|one| (one.peer.as_str(), one.code.as_ref())).collect();
        assert_eq!(of, [("a", "no-place"), ("b", if refused { "not-offered" } else { "no-place" })]);
        assert!(attempts[0].message.contains("wait before this machine"), "{attempts:?}");
        let late = begun.elapsed().saturating_sub(Duration::from_millis(wait_ms));
        assert!(late <= Duration::from_millis(2) && stage.tasks.running() == 0, "{late:?}");
    }
}
