//! The transfer: opens the sources that the plan chooses, orders the chunks that it assigns, and reports events to it.
//!
//! Each source has one task. It ends only after its writer has ended, so the chunks that a source owes return to the
//! plan after the last byte that it could write. All tasks have ended when [`transfer`] returns. If its future is
//! dropped, the tasks are interrupted and end on their own.

use lanspread_proto::queued::QueuePosition;
use lanspread_store::state::chunks::Chunk;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_types::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::receive::arrivals::Arrivals;
use crate::receive::chunk_source::{FetchError, OpenSource};
use crate::receive::error::{NO_PLACE, ReceiveError, no_place};
use crate::receive::floor_check::FloorCheck;
use crate::receive::patience::QueueReports;
use crate::receive::plan::{Ending, Plan, SourceId};
use crate::receive::session::{SourceNews, TransferContext, run_session};
use crate::receive::transfer_source::TransferSource;
use crate::report::event::PeerEvent;
use crate::report::failure::AttemptFailure;
use crate::report::queued::QueuedAt;
use crate::report::source_share::SourceShare;

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
    /// Where it last stood in the queue of the source, and what was reported of that.
    position: Option<QueuePosition>,
    queue_reports: QueueReports,
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
        let (news, heard) = mpsc::channel(limits::CHUNK_REQUESTS_MAX * limits::DOWNLOAD_SOURCES_MAX);
        let plan = {
            let journal = context.target.journal();
            let record = &journal.record;
            let is_here = |chunk: &Chunk| !record.is_missing(chunk.id);
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
            let waits_until = if self.plan.only_waits() { self.context.patience.until() } else { None };
            if waits_until.is_some_and(|until| until <= Instant::now()) {
                return Err(self.no_place());
            }
            let retry_at = self.sources.iter().filter_map(|source| source.retry_at).min();
            let tick_at = ticked + limits::PROGRESS_INTERVAL;
            let wake_at = [retry_at, waits_until, Some(tick_at)].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(ReceiveError::Cancelled),
                news = heard.recv() => match news {
                    Some(news) => self.hear(news)?,
                    None => return Err(ReceiveError::Internal("the channel of a download closed".to_owned())),
                },
                () = sleep_until(wake_at.unwrap_or(tick_at)) => {}
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
                tracing::debug!("{} takes no more orders", self.context.sources[source].name());
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
        let failure = AttemptFailure::new(self.context.sources[id].name(), "too-slow", message);
        self.report_failure(id, &failure, None);
        self.interrupt(id);
    }

    fn open(&mut self, id: SourceId) {
        let (orders, ordered) = mpsc::channel(limits::CHUNK_REQUESTS_MAX);
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
            SourceNews::Queued(source, position) => self.queued(source, position),
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

    fn queued(&mut self, id: SourceId, position: QueuePosition) {
        self.plan.queued(id);
        let source = &mut self.sources[id];
        source.position = Some(position);
        if source.queue_reports.is_due(position, Instant::now()) {
            self.context.events.report(PeerEvent::Queued(QueuedAt {
                game: self.context.game.clone(),
                peer: self.context.sources[id].name().clone(),
                peer_id: self.context.sources[id].peer_id(),
                ahead: position.ahead,
                in_ms: position.in_ms,
                receivers: None,
            }));
        }
    }

    /// No source has a place, and the download waits no longer.
    fn no_place(&self) -> ReceiveError {
        let queued = self.sources.iter().enumerate().filter(|(id, _)| self.plan.is_queued(*id));
        let queued = queued.filter_map(|(id, source)| {
            let message = no_place(source.position?);
            Some(AttemptFailure::new(self.context.sources[id].name(), NO_PLACE, message))
        });
        let failed = self.sources.iter().filter_map(|source| source.last_failure.clone());
        ReceiveError::NoPlace { game: self.context.game.clone(), attempts: queued.chain(failed).collect() }
    }

    fn failed(&mut self, id: SourceId, error: &FetchError) {
        // Only a list that the catalog names proves that a source lies.
        let is_trusted = self.context.listed.as_ref().is_some_and(ListedChunks::is_trusted);
        let lie = if let FetchError::OtherBytes(other) = error { Some(other) } else { None };
        if is_trusted || lie.is_none() {
            self.tasks.extend(self.context.connect.failed(&self.context.sources[id], error));
        }
        self.plan.ended(id, if error.may_pass() { Ending::Failed } else { Ending::Hopeless });
        let source = &self.context.sources[id];
        if let Some(other) = lie.filter(|_| is_trusted) {
            self.context.events.report(source.lied(&self.context.game, other));
        }
        let failure = AttemptFailure::new(source.name(), error.code(), error.to_string());
        let wait = self.plan.is_waiting(id).then(|| {
            let doubled = self.plan.failures(id).saturating_sub(1);
            let pause = limits::SOURCE_RETRY_INTERVAL * 2_u32.pow(doubled);
            error.retry_after().map_or(pause, |asked| asked.max(pause))
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
        let sent = |id: &SourceId| self.plan.share(*id).1;
        let most = (0..self.context.sources.len()).filter(|id| sent(id) > 0).max_by_key(sent);
        let most = most.map(|id| &self.context.sources[id]);
        self.context.events.report(PeerEvent::DownloadProgress {
            game: self.context.game.clone(),
            bytes,
            bytes_total: self.bytes_total,
            sources: self.plan.sending() as u64,
            source: most.map(|source| source.name().to_string()),
            source_id: most.and_then(TransferSource::peer_id),
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
            SourceShare { peer: source.name().clone(), chunks, bytes }
        });
        shares.filter(|share| share.chunks > 0).collect()
    }
}

#[cfg(test)]
mod tests;
