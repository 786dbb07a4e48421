//! The transfer: opens the sources that the plan chooses, orders the chunks that it assigns, and reports events to it.
//!
//! Each source has one task. It ends only after its writer has ended, so the chunks that a source owes return to the
//! plan after the last byte that it could write. All tasks have ended when [`transfer`] returns. If its future is
//! dropped, the tasks are interrupted and end on their own.

use lanspread_archive::SinkError;
use lanspread_proto::chunk::Buffers;
use lanspread_store::state::chunks::Chunk;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::locked_game::LockedGame;
use crate::receive::arrivals::Arrivals;
use crate::receive::chunk_check::check;
use crate::receive::chunk_source::{ChunkSource, FetchError, OpenSource, Wanted};
use crate::receive::chunk_writer::{ChunkOrigin, ChunkWrite, DownloadTarget, write};
use crate::receive::error::ReceiveError;
use crate::receive::floor_check::FloorCheck;
use crate::receive::plan::{Ending, Plan, SourceId};
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::failure::AttemptFailure;
use crate::report::offender::ProvedLie;
use crate::report::source_share::SourceShare;
use crate::task::contained::contained;
use crate::task::{Tasks, Working};
use crate::trust::select::PeerOffer;

/// What all tasks of one transfer share.
pub(crate) struct TransferContext<C> {
    pub(crate) game: GameId,
    pub(crate) version: GameVersion,
    pub(crate) files: Vec<RootFile>,
    /// The validated peers.
    pub(crate) sources: Vec<PeerOffer>,
    pub(crate) target: Arc<DownloadTarget>,
    /// What a manifest lists about these files, if there is one.
    pub(crate) listed: Option<ListedChunks>,
    /// Held by every writer, so that no other operation begins on this game while one still writes.
    pub(crate) locked: Option<LockedGame>,
    pub(crate) connect: C,
    pub(crate) events: EventSender,
    pub(crate) tasks: Tasks,
    pub(crate) cancel: CancellationToken,
}

/// What the task of a source reports.
enum SourceNews {
    /// It is connected and agrees on the files; the chunks that it delivered from files that have changed since.
    Opened(SourceId, Vec<usize>),
    Done(SourceId, Chunk),
    /// It has ended, its writer included.
    Ended(SourceId, Result<(), FetchError>),
}

/// A running task of a source.
struct Session {
    orders: mpsc::Sender<Chunk>,
    /// Interrupts the task when dropped.
    _interrupt: DropGuard,
}

/// The state of one source across its sessions.
#[derive(Default)]
struct SourceState {
    session: Option<Session>,
    /// What it sent in this transfer, and how many bytes of it the plan and the last measurement have counted.
    arrivals: Arc<Arrivals>,
    told_bytes: u64,
    measured_bytes: u64,
    /// When the current measurement began; nothing while the source owes no chunks.
    measured_at: Option<Instant>,
    /// Whether it is too slow; nothing while the source owes no chunks.
    floor_check: Option<FloorCheck>,
    opened_at: Option<Instant>,
    retry_at: Option<Instant>,
    last_failure: Option<AttemptFailure>,
}

struct Transfer<C> {
    context: Arc<TransferContext<C>>,
    plan: Plan,
    sources: Vec<SourceState>,
    news: mpsc::Sender<SourceNews>,
    /// Tasks that may still be running.
    tasks: Vec<JoinHandle<()>>,
    bytes_total: u64,
    reported_bytes: Option<u64>,
}

/// Fetches all missing chunks. Returns which source sent how much. Chunks that arrived before a failure stay recorded.
pub(crate) async fn transfer<C: OpenSource>(
    context: TransferContext<C>,
) -> Result<Vec<SourceShare>, ReceiveError> {
    let (mut transfer, mut heard) = Transfer::new(context);
    let ended = transfer.run(&mut heard).await;
    // Closes the channel, so that no task waits for room in it.
    drop(heard);
    transfer.stop().await;
    transfer.report_progress();
    ended.map(|()| transfer.shares())
}

impl<C: OpenSource> Transfer<C> {
    /// A transfer of the chunks that are missing, and what its sources will report to it.
    fn new(context: TransferContext<C>) -> (Self, mpsc::Receiver<SourceNews>) {
        let (news, heard) = mpsc::channel(limits::CHUNKS_AHEAD * limits::DOWNLOAD_SOURCES_MAX);
        let plan = {
            let journal = context.target.journal();
            let record = &journal.record;
            let is_here = |chunk: &Chunk| record.here[chunk.id].is_some();
            Plan::new(&record.chunks, is_here, context.sources.len(), limits::DOWNLOAD_SOURCES_MAX)
        };
        let transfer = Self {
            plan,
            sources: context.sources.iter().map(|_| SourceState::default()).collect(),
            bytes_total: context.files.iter().map(|file| file.size).sum(),
            context: Arc::new(context),
            news,
            tasks: Vec::new(),
            reported_bytes: None,
        };
        (transfer, heard)
    }

    async fn run(&mut self, heard: &mut mpsc::Receiver<SourceNews>) -> Result<(), ReceiveError> {
        let cancel = self.context.cancel.clone();
        let mut ticked = Instant::now();
        loop {
            self.act();
            if self.plan.is_complete() {
                return Ok(());
            }
            if self.plan.is_hopeless() {
                let attempts = self.sources.iter().filter_map(|source| source.last_failure.clone()).collect();
                return Err(ReceiveError::AllSourcesFailed { game: self.context.game.clone(), attempts });
            }
            let retry_at = self.sources.iter().filter_map(|source| source.retry_at).min();
            let tick_at = ticked + limits::PROGRESS_INTERVAL;
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(ReceiveError::Cancelled),
                news = heard.recv() => match news {
                    Some(news) => self.hear(news)?,
                    None => return Err(ReceiveError::Internal("the channel of a download closed".to_owned())),
                },
                () = sleep_until(retry_at.map_or(tick_at, |at| at.min(tick_at))) => {}
            }
            self.wake_due();
            if ticked.elapsed() >= limits::PROGRESS_INTERVAL {
                for source in 0..self.sources.len() {
                    self.measure(source);
                    self.judge(source);
                    let opened_at = self.sources[source].opened_at;
                    if opened_at.is_some_and(|at| at.elapsed() >= limits::SHARE_DEADLINE) {
                        self.plan.late(source);
                    }
                }
                self.report_progress();
                ticked = Instant::now();
            }
        }
    }

    /// Carries out the plan's decisions until there are none left.
    fn act(&mut self) {
        while let Some(source) = self.plan.open_next() {
            self.open(source);
        }
        while let Some((source, chunk)) = self.plan.assign() {
            let ordered = self.sources[source].session.as_ref().map(|session| session.orders.try_send(chunk));
            if !matches!(ordered, Some(Ok(()))) {
                // Its task is ending; the chunk returns to the plan when the end is reported.
                tracing::debug!("{} takes no more orders", self.context.sources[source].name);
            }
            self.tell_arrived(source);
            let state = &mut self.sources[source];
            if state.measured_at.is_none() {
                state.measured_at = Some(Instant::now());
                state.measured_bytes = state.told_bytes;
            }
        }
        while let Some(source) = self.plan.take_over() {
            let message = "another source would send what it still owes in less than half the time";
            self.relieve(source, message.to_owned());
        }
        while let Some(source) = self.plan.close_next() {
            self.interrupt(source);
        }
    }

    /// Interrupts a slow source, whose chunks another one takes.
    fn relieve(&mut self, id: SourceId, message: String) {
        let failure = AttemptFailure::new(&self.context.sources[id].name, "too-slow", message);
        self.report_failure(id, &failure, None);
        self.interrupt(id);
    }

    fn open(&mut self, id: SourceId) {
        let (orders, ordered) = mpsc::channel(limits::CHUNKS_AHEAD);
        let cancel = CancellationToken::new();
        let interrupt = cancel.clone().drop_guard();
        let source = &mut self.sources[id];
        let task = self.context.tasks.spawn_contained(
            "download-source",
            run_session(
                Arc::clone(&self.context),
                id,
                ordered,
                Arc::clone(&source.arrivals),
                cancel,
                self.news.clone(),
            ),
        );
        source.session = Some(Session { orders, _interrupt: interrupt });
        source.opened_at = Some(Instant::now());
        self.tasks.retain(|task| !task.is_finished());
        self.tasks.push(task);
    }

    /// Ends a session. Its task reports the end later.
    fn interrupt(&mut self, source: SourceId) {
        self.sources[source].session = None;
    }

    fn hear(&mut self, news: SourceNews) -> Result<(), ReceiveError> {
        match news {
            SourceNews::Opened(source, dropped) => self.plan.opened(source, &dropped),
            SourceNews::Done(source, chunk) => {
                self.tell_arrived(source);
                if !self.plan.finished(source, chunk.id) {
                    let what = format!("chunk {} came from a source that did not owe it", chunk.id);
                    return Err(ReceiveError::Internal(what));
                }
                self.measure(source);
            }
            SourceNews::Ended(source, result) => {
                self.tell_arrived(source);
                self.sources[source].session = None;
                self.sources[source].measured_at = None;
                self.sources[source].floor_check = None;
                match result {
                    Ok(()) => self.plan.ended(source, Ending::Asked),
                    Err(FetchError::Local(error)) => return Err(error.into()),
                    Err(error @ FetchError::WriterStopped) => {
                        return Err(ReceiveError::Internal(error.to_string()));
                    }
                    Err(error) => self.failed(source, &error),
                }
            }
        }
        Ok(())
    }

    fn failed(&mut self, id: SourceId, error: &FetchError) {
        self.tasks.extend(self.context.connect.failed(&self.context.sources[id], error));
        self.plan.ended(id, if error.may_pass() { Ending::Failed } else { Ending::Hopeless });
        let PeerOffer { name, id: peer_id, .. } = &self.context.sources[id];
        if let FetchError::OtherBytes(other) = error {
            self.context.events.report(PeerEvent::PeerLied(ProvedLie {
                peer: name.clone(),
                id: *peer_id,
                game: self.context.game.clone(),
                path: Some(other.path.clone()),
                position: Some(other.position),
                expected: other.expected.to_string(),
                got: other.got.to_string(),
            }));
        }
        let failure = AttemptFailure::new(name, error.code(), error.to_string());
        let wait = self.plan.is_waiting(id).then(|| {
            let doubled = self.plan.failures(id).saturating_sub(1);
            limits::SOURCE_RETRY_INTERVAL * 2_u32.pow(doubled)
        });
        self.report_failure(id, &failure, wait);
        let source = &mut self.sources[id];
        source.last_failure = Some(failure);
        source.retry_at = wait.map(|wait| Instant::now() + wait);
    }

    /// Reports a failure, and what follows: `wait` until the source is tried again, if it is.
    fn report_failure(&self, id: SourceId, failure: &AttemptFailure, wait: Option<Duration>) {
        self.context.events.report(PeerEvent::DownloadSourceFailed {
            game: self.context.game.clone(),
            peer: failure.peer.clone(),
            code: failure.code.clone(),
            message: failure.message.clone(),
            retry_ms: wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            sources_left: self.plan.others_left(id) as u64,
        });
    }

    fn wake_due(&mut self) {
        for (id, source) in self.sources.iter_mut().enumerate() {
            if source.retry_at.is_some_and(|at| at <= Instant::now()) {
                source.retry_at = None;
                self.plan.wake(id);
            }
        }
    }

    /// Reports to the plan how many bytes have arrived from a source since the last report.
    fn tell_arrived(&mut self, id: SourceId) {
        let source = &mut self.sources[id];
        let arrived = source.arrivals.bytes();
        self.plan.arrived(id, arrived - source.told_bytes);
        source.told_bytes = arrived;
    }

    /// Reports the rate of a source to the plan, if the source has owed chunks for long enough to be measured.
    fn measure(&mut self, id: SourceId) {
        self.tell_arrived(id);
        let source = &mut self.sources[id];
        let Some(within) = source.measured_at.map(|at| at.elapsed()) else { return };
        if within >= limits::RATE_SPAN_MIN {
            self.plan.measured(id, source.told_bytes - source.measured_bytes, within);
            source.measured_at = Some(Instant::now());
            source.measured_bytes = source.told_bytes;
        }
        if !self.plan.is_busy(id) {
            source.measured_at = None;
        }
    }

    /// Reports to the plan whether a source was too slow in a whole span.
    fn judge(&mut self, id: SourceId) {
        let source = &mut self.sources[id];
        if !self.plan.is_busy(id) {
            source.floor_check = None;
            return;
        }
        let now = Instant::now();
        let (bytes, waited) = (source.arrivals.bytes(), source.arrivals.waited(now));
        let check = source.floor_check.get_or_insert_with(|| FloorCheck::new(now, bytes, waited));
        let Some(speed) = check.judge(now, bytes, waited) else { return };
        if self.plan.judged(id, speed) {
            let (floor, span) = (limits::SLOW_SOURCE_BYTES / 1024, limits::SLOW_SOURCE_SPAN.as_secs());
            self.relieve(id, format!("less than {floor} KiB arrived in {span} s"));
        }
    }

    fn report_progress(&mut self) {
        let bytes = self.plan.here_bytes();
        if self.reported_bytes == Some(bytes) {
            return;
        }
        self.reported_bytes = Some(bytes);
        self.context.events.report(PeerEvent::DownloadProgress {
            game: self.context.game.clone(),
            bytes,
            bytes_total: self.bytes_total,
            sources: self.plan.sending() as u64,
        });
    }

    /// Ends every session and waits for its task, which includes the writer.
    async fn stop(&mut self) {
        for source in &mut self.sources {
            source.session = None;
        }
        for task in self.tasks.drain(..) {
            if let Err(error) = task.await {
                tracing::error!("the task of a source ended abnormally: {error}");
            }
        }
    }

    fn shares(&self) -> Vec<SourceShare> {
        let shares = self.context.sources.iter().enumerate().map(|(id, source)| {
            let (chunks, bytes) = self.plan.share(id);
            SourceShare { peer: source.name.clone(), chunks, bytes }
        });
        shares.filter(|share| share.chunks > 0).collect()
    }
}

/// The task of one source.
async fn run_session<C: OpenSource>(
    context: Arc<TransferContext<C>>,
    id: SourceId,
    orders: mpsc::Receiver<Chunk>,
    arrivals: Arc<Arrivals>,
    cancel: CancellationToken,
    news: mpsc::Sender<SourceNews>,
) {
    // If it panicked without reporting an end, its chunks would never return to the plan.
    let ended = contained(converse(&context, id, orders, &arrivals, &cancel, &news)).await;
    let ended = ended.unwrap_or(Err(FetchError::Panicked));
    // This fails only if the transfer has already ended.
    let _ = news.send(SourceNews::Ended(id, ended)).await;
}

async fn converse<C: OpenSource>(
    context: &Arc<TransferContext<C>>,
    id: SourceId,
    mut orders: mpsc::Receiver<Chunk>,
    arrivals: &Arrivals,
    cancel: &CancellationToken,
    news: &mpsc::Sender<SourceNews>,
) -> Result<(), FetchError> {
    let source = &context.sources[id];
    let wanted = Wanted { game: &context.game, version: &context.version, files: &context.files };
    let opening = context.connect.open(source, wanted);
    let Some(opened) = cancel.run_until_cancelled(opening).await else { return Ok(()) };
    let mut chunks = opened?;

    let origin = ChunkOrigin {
        peer: source.name.clone(),
        peer_id: source.id,
        fingerprints: chunks.fingerprints().to_vec(),
    };
    let places =
        if context.listed.is_some() { limits::CHECKED_QUEUE_ITEMS } else { limits::CHUNK_QUEUE_ITEMS };
    let (writes, queue) = mpsc::channel(places);
    let (opened, released) = tokio::sync::oneshot::channel();
    let buffers = Arc::new(Buffers::default());
    let writing = {
        let (context, buffers, news) = (Arc::clone(context), Arc::clone(&buffers), news.clone());
        context.tasks.clone().spawn_blocking("chunk-writer", move || {
            // The lock in the context keeps the game locked until the last byte is written.
            let _locked = context.locked.as_ref();
            let dropped = match &context.listed {
                // What is here was proved, whatever its source has by now.
                Some(_) => Vec::new(),
                None => context.target.journal().drop_changed(origin.peer_id, &origin.fingerprints)?,
            };
            // Both fail only if the session or the transfer has already ended.
            let _ = news.blocking_send(SourceNews::Opened(id, dropped));
            let _ = opened.send(());
            write(&context.target, &origin, queue, &buffers, |chunk| {
                let _ = news.blocking_send(SourceNews::Done(id, chunk));
            })
        })
    };
    let (writes, checking) = checked(context, writes, &buffers);
    let fetching = async {
        // No chunk is requested before the writer has dropped the chunks of changed files.
        if released.await.is_err() {
            return Err(FetchError::WriterStopped);
        }
        chunks.fetch(&mut orders, writes, &buffers, arrivals).await
    };
    // The writer is joined even if this panics: until then the source owes its chunks.
    let fetched = contained(cancel.run_until_cancelled(fetching)).await;
    let fetched = fetched.map_or(Err(FetchError::Panicked), |fetched| fetched.unwrap_or(Ok(())));
    // The sender of the queue was dropped with the future, so the check and the writer do what is queued and end.
    let checked = match checking {
        Some(checking) => checking.await.unwrap_or_else(|error| {
            tracing::error!("the check of a source ended abnormally: {error}");
            Err(FetchError::Panicked)
        }),
        None => Ok(()),
    };
    let written = writing.await.map_err(|error| {
        tracing::error!("the writer of a source ended abnormally: {error}");
        // If it was recording a chunk, it is not known what the record says now.
        let is_recording = context.target.journal.is_poisoned();
        if is_recording { FetchError::WriterStopped } else { FetchError::Panicked }
    })?;
    // If one of the three ends, the others end because of it: the cause is the one that is furthest from the network.
    match (written, checked, fetched) {
        (Err(SinkError::Local(error)), ..) => Err(FetchError::Local(error)),
        (Err(SinkError::Content(error)), ..) => Err(FetchError::Content(error)),
        (_, Err(error), _) => Err(error),
        (Err(SinkError::Closed), _, Ok(())) => Err(FetchError::WriterStopped),
        (_, _, fetched) => fetched,
    }
}

/// Puts a check in front of a writer, if a manifest lists the files.
fn checked<C: OpenSource>(
    context: &Arc<TransferContext<C>>,
    writes: mpsc::Sender<ChunkWrite>,
    buffers: &Arc<Buffers>,
) -> (mpsc::Sender<ChunkWrite>, Option<Working<Result<(), FetchError>>>) {
    let Some(listed) = context.listed.clone() else { return (writes, None) };
    let (arrived, queue) = mpsc::channel(limits::CHECKED_QUEUE_ITEMS);
    let buffers = Arc::clone(buffers);
    let check = move || check(&listed, queue, &writes, &buffers);
    (arrived, Some(context.tasks.spawn_blocking("chunk-check", check)))
}

#[cfg(test)]
mod tests;
