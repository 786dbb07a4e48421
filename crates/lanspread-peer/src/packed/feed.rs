//! Brings the chunks of a packed stream into a window: one loop that asks, and a task for each upstream that is open.
//!
//! The task of an upstream compares each chunk with the manifest while the next one arrives. Only chunks that were proved
//! reach the loop. All tasks have ended when [`feed`] returns; if its future is dropped, they are interrupted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lanspread_types::fault::LocalError;
use lanspread_types::limits;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::upstreams::{Begin, FeedEvent, Order, Said, Upstreams};
use crate::packed::plan::{FeedPlan, FeedProgress, Left, UpstreamEnding, UpstreamId};
use crate::packed::ring::Ring;
use crate::packed::upstream_error::UpstreamError;
use crate::packed::window::PackedWindow;
use crate::task::Tasks;

mod upstreams;

/// Why a stream was not fed to its end.
#[derive(Debug)]
pub(crate) enum FeedError {
    Cancelled,
    /// No upstream is left; the last failure of one, if one failed.
    AllGone(Option<UpstreamError>),
    /// This machine.
    Local(LocalError),
}

struct Session {
    number: u64,
    /// None once its orders have ended.
    orders: Option<mpsc::Sender<Order>>,
    begun_at: u64,
    chunks: u64,
    bytes: u64,
    /// Whether what it sends arrives faster than it is taken.
    is_behind: bool,
    interrupt: DropGuard,
}

/// What the task of an upstream reports.
enum News {
    Said(Said),
    Proved(u64, Bytes),
    Ended(Result<(), UpstreamError>),
}

struct Feed<U: Upstreams> {
    upstreams: Arc<U>,
    window: Arc<PackedWindow>,
    tasks: Tasks,
    plan: FeedPlan,
    sessions: Vec<Option<Session>>,
    numbers: u64,
    news: mpsc::Sender<(UpstreamId, u64, News)>,
    running: Vec<JoinHandle<()>>,
    /// The gap that a source fills for a relay: from which chunk, and up to which.
    gap: Option<(u64, u64)>,
    last_failure: Option<UpstreamError>,
}

/// Brings all chunks into the window, or as many as the decoder wants.
pub(crate) async fn feed<U: Upstreams>(
    upstreams: Arc<U>,
    window: Arc<PackedWindow>,
    tasks: Tasks,
    cancel: &CancellationToken,
) -> Result<(), FeedError> {
    let (news, mut heard) = mpsc::channel(NEWS_MAX);
    let mut feed = Feed {
        plan: FeedPlan::new([], upstreams.position(), Instant::now()),
        sessions: Vec::new(),
        upstreams,
        window,
        tasks,
        numbers: 0,
        news,
        running: Vec::new(),
        gap: None,
        last_failure: None,
    };
    let ended = feed.run(&mut heard, cancel).await;
    // Tasks that still report must not wait for room.
    drop(heard);
    feed.stop(ended.is_ok()).await;
    ended
}

impl<U: Upstreams> Feed<U> {
    async fn run(
        &mut self,
        heard: &mut mpsc::Receiver<(UpstreamId, u64, News)>,
        cancel: &CancellationToken,
    ) -> Result<(), FeedError> {
        let mut changes: watch::Receiver<u64> = self.window.changes();
        loop {
            changes.borrow_and_update();
            let now = Instant::now();
            if self.window.look(Ring::is_complete) || self.window.is_done() {
                return Ok(());
            }
            self.take_further(now);
            self.act(now);
            // One that is added while this asks is taken before it counts as missing.
            if self.plan.is_hopeless() && !self.upstreams.awaits_more() && !self.take_further(now) {
                return Err(FeedError::AllGone(self.last_failure.take()));
            }
            let tick = now + TICK;
            let next = self.window.look(|ring| ring.next_change(now)).map_or(tick, |at| at.min(tick));
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(FeedError::Cancelled),
                news = heard.recv() => match news {
                    Some((id, number, news)) => self.hear(id, number, news)?,
                    // Cannot be: this loop has a sender.
                    None => return Err(FeedError::AllGone(None)),
                },
                // Dropped only with the window.
                _ = changes.changed() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Takes the upstreams that were added. Returns whether there are any.
    fn take_further(&mut self, now: Instant) -> bool {
        let known = self.sessions.len();
        for tier in self.upstreams.tiers().into_iter().skip(known) {
            self.plan.add(tier, now);
            self.sessions.push(None);
        }
        self.sessions.len() > known
    }

    fn progress(&self, now: Instant) -> FeedProgress {
        let horizon = self.window.horizon(now);
        let next = self.window.look(Ring::hi);
        FeedProgress { next, horizon, starved: self.window.starved(now), now }
    }

    /// Carries out what the plan decides until there is nothing left to do.
    fn act(&mut self, now: Instant) {
        let progress = self.progress(now);
        while let Some((id, why)) = self.plan.tick(progress) {
            let why = match why {
                Left::Slow => UpstreamError::Slow,
                Left::Stalled => UpstreamError::Stalled,
            };
            self.forget(id, Some(&why), why.ending(), now);
        }
        while let Some((id, instead_of)) = self.plan.open_next(progress) {
            self.open(id, Begin { at: progress.next, instead_of });
        }
        let window = Arc::clone(&self.window);
        let is_missing = |chunk| window.look(|ring| ring.wants(chunk));
        while let Some((id, chunk)) = self.plan.ask_next(progress, is_missing) {
            self.window.ask(chunk);
            self.order(id, Order::Ask(chunk));
        }
        if let Some((from, to)) = self.gap.filter(|(_, to)| progress.next >= *to) {
            self.upstreams.hear(FeedEvent::GapFilled { from, to });
            self.gap = None;
        }
        while let Some(id) = self.plan.close_next(progress) {
            self.say_done(id);
        }
    }

    /// Tells an upstream that it has done its part. Its task ends with its orders.
    fn say_done(&mut self, id: UpstreamId) {
        self.order(id, Order::Done);
        if let Some(session) = &mut self.sessions[id] {
            session.orders = None;
        }
    }

    fn order(&self, id: UpstreamId, order: Order) {
        let orders = self.sessions[id].as_ref().and_then(|session| session.orders.as_ref());
        let ordered = orders.map(|orders| orders.try_send(order));
        if !matches!(ordered, Some(Ok(()))) {
            // Its task is ending, and says so.
            tracing::debug!("upstream {id} takes no more orders");
        }
    }

    fn open(&mut self, id: UpstreamId, begin: Begin) {
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        let (cancel, news) = (CancellationToken::new(), self.news.clone());
        let interrupt = cancel.clone().drop_guard();
        self.numbers += 1;
        let (number, upstreams) = (self.numbers, Arc::clone(&self.upstreams));
        let task = self.tasks.spawn_contained("upstream", async move {
            let ended = Ended { id, number, news: news.clone(), result: None };
            let running = run(upstreams, id, number, begin, ordered, &news);
            // An interrupted one is no longer listened to.
            if let Some(result) = cancel.run_until_cancelled(running).await {
                ended.say(result).await;
            } else {
                ended.say(Ok(())).await;
            }
        });
        self.running.retain(|task| !task.is_finished());
        self.running.push(task);
        self.sessions[id] = Some(Session {
            number,
            orders: Some(orders),
            begun_at: begin.at,
            chunks: 0,
            bytes: 0,
            is_behind: false,
            interrupt,
        });
    }

    fn hear(&mut self, id: UpstreamId, number: u64, news: News) -> Result<(), FeedError> {
        let now = Instant::now();
        let Some(session) = self.sessions[id].as_mut().filter(|session| session.number == number) else {
            return Ok(());
        };
        match news {
            News::Said(Said::Opened { lo }) => {
                let chunk = session.begun_at;
                self.plan.opened(id, lo, now);
                self.upstreams.hear(FeedEvent::Begin { upstream: id, chunk });
                let progress = self.progress(now);
                if lo > progress.next {
                    self.lost_something(id, lo, now);
                }
            }
            News::Said(Said::Alive { full, wave }) => {
                self.plan.alive(id, full);
                self.upstreams.hear(FeedEvent::Wave(id, wave));
            }
            News::Said(Said::Queued(position)) => {
                self.plan.queued(id);
                self.upstreams.hear(FeedEvent::Queued { upstream: id, position });
            }
            News::Said(Said::Behind(is_behind)) => {
                session.is_behind = is_behind;
                self.note_backlog();
            }
            News::Said(Said::Gone { lo }) => {
                if !self.plan.gone(id, lo, now) {
                    self.forget(id, Some(&UpstreamError::Unasked), UpstreamEnding::Final, now);
                } else if self.lost_something(id, lo, now) {
                    self.order(id, Order::Resume);
                }
            }
            // It was proved before it came here.
            News::Said(Said::Chunk(..)) => {}
            News::Proved(chunk, bytes) => {
                let length = bytes.len() as u64;
                session.chunks += 1;
                session.bytes += length;
                if self.plan.brought(id, chunk, now) {
                    let is_new = self.window.change(|ring| ring.push(chunk, bytes));
                    self.upstreams.hear(FeedEvent::Brought { upstream: id, bytes: length, is_new });
                } else {
                    self.forget(id, Some(&UpstreamError::Unasked), UpstreamEnding::Final, now);
                }
            }
            News::Ended(Ok(())) => self.forget(id, None, UpstreamEnding::Asked, now),
            News::Ended(Err(error)) => {
                let ending = error.ending();
                self.forget(id, Some(&error), ending, now);
                match error {
                    UpstreamError::Local(error) => return Err(FeedError::Local(error)),
                    error => self.last_failure = Some(error),
                }
            }
        }
        Ok(())
    }

    /// Followers hear what holds this receiver up.
    fn note_backlog(&self) {
        let is_behind = self.sessions.iter().flatten().any(|session| session.is_behind);
        self.window.change(|ring| ring.note_backlog(is_behind));
    }

    /// A relay has lost what is needed next. Returns whether a source fills the gap; if that cannot help, it is left.
    fn lost_something(&mut self, id: UpstreamId, lo: u64, now: Instant) -> bool {
        let progress = self.progress(now);
        if self.plan.is_worth_filling(id, progress) {
            self.gap = Some((progress.next, lo));
            return true;
        }
        self.forget(id, Some(&UpstreamError::TooFarAhead), UpstreamEnding::Occupied, now);
        false
    }

    /// An upstream ended, or is ended: with an error if it was not asked to.
    fn forget(
        &mut self,
        id: UpstreamId,
        error: Option<&UpstreamError>,
        ending: UpstreamEnding,
        now: Instant,
    ) {
        self.plan.ended(id, ending, now);
        // Dropping it interrupts its task.
        let Some(session) = self.sessions[id].take() else { return };
        self.note_backlog();
        self.upstreams.hear(FeedEvent::End {
            upstream: id,
            chunk: self.window.look(Ring::hi),
            chunks: session.chunks,
            bytes: session.bytes,
            error,
        });
    }

    /// Ends all tasks and waits for them. If all chunks are here, each upstream is sent *done* first.
    async fn stop(&mut self, is_complete: bool) {
        let chunk = self.window.look(Ring::hi);
        let mut interrupts = Vec::new();
        for id in 0..self.sessions.len() {
            if is_complete {
                self.say_done(id);
            }
            let Some(session) = self.sessions[id].take() else { continue };
            let Session { chunks, bytes, interrupt, .. } = session;
            self.upstreams.hear(FeedEvent::End { upstream: id, chunk, chunks, bytes, error: None });
            interrupts.push(interrupt);
        }
        let deadline = Instant::now() + if is_complete { limits::FAREWELL_DEADLINE } else { Duration::ZERO };
        let mut late = Vec::new();
        for mut task in self.running.drain(..) {
            // A panic was reported as a failure of its upstream.
            if timeout_at(deadline, &mut task).await.is_err() {
                late.push(task);
            }
        }
        drop(interrupts);
        for task in late {
            let _ = task.await;
        }
    }
}

/// Runs one upstream, and proves its chunks while others arrive.
async fn run<U: Upstreams>(
    upstreams: Arc<U>,
    id: UpstreamId,
    number: u64,
    begin: Begin,
    orders: mpsc::Receiver<Order>,
    news: &mpsc::Sender<(UpstreamId, u64, News)>,
) -> Result<(), UpstreamError> {
    let (says, mut said) = mpsc::channel(SAID_MAX);
    let proving = async {
        while let Some(said) = said.recv().await {
            let told = match said {
                Said::Chunk(chunk, bytes) => {
                    News::Proved(chunk, Arc::clone(&upstreams).prove(chunk, bytes).await?)
                }
                other => News::Said(other),
            };
            if news.send((id, number, told)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    let bringing = Arc::clone(&upstreams).run(id, begin, orders, says);
    tokio::try_join!(bringing, proving).map(|_| ())
}

/// Says how the task of an upstream ended, also if it panicked.
struct Ended {
    id: UpstreamId,
    number: u64,
    news: mpsc::Sender<(UpstreamId, u64, News)>,
    result: Option<()>,
}

impl Ended {
    async fn say(mut self, result: Result<(), UpstreamError>) {
        self.result = Some(());
        // It is not heard if the stream has ended.
        let _ = self.news.send((self.id, self.number, News::Ended(result))).await;
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.result.is_none() {
            let _ = self.news.try_send((self.id, self.number, News::Ended(Err(UpstreamError::Panicked))));
        }
    }
}

/// The plan is asked at least this often.
const TICK: Duration = Duration::from_millis(100);
/// News that wait to be heard: of each upstream, what it was asked ahead.
const NEWS_MAX: usize = limits::PACKED_UPSTREAMS_MAX * limits::PACKED_ASKED_MAX;
/// Orders that wait: all that may be asked ahead, and what goes with it.
const ORDERS_MAX: usize = 2 * limits::PACKED_ASKED_MAX;
/// Chunks that wait to be proved, of one upstream.
const SAID_MAX: usize = 2;
