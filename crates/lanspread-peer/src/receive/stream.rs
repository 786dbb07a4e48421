//! Receives a stream. The grammar checks the frames, the policy checks the names, and accepted steps pass in batches
//! through a bounded queue to the staging thread, with the bytes as they arrived. This runs over any
//! `AsyncRead + AsyncWrite`.

use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::entry::{Sorted, sort};
use lanspread_proto::grammar::StreamGrammar;
use lanspread_proto::inflow::{Inflow, Taken};
use lanspread_proto::message::StreamMessage;
use lanspread_proto::queued::{QueuePosition, QueuedPace};
use lanspread_types::content::{ArchiveSummary, EntryStep, Totals};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use crate::receive::error::AttemptError;
use crate::receive::floor_check::{FloorCheck, Speed};
use crate::receive::staging_queue::{StagingBatch, StagingSender, StagingStep};
use crate::traffic::Meter;

/// Observes a stream while it runs.
pub(crate) trait StreamObserver {
    /// The source has no place now, and one waits in its queue. Returns until when; none if there is no bound.
    ///
    /// # Errors
    /// [`AttemptError::NoPlace`] if one does not wait.
    fn queued(&mut self, position: QueuePosition) -> Result<Option<Instant>, AttemptError>;
    /// The totals are known.
    fn announced(&mut self, totals: Totals);
    /// An archive begins.
    fn archive(&mut self, archive: &ArchiveSummary);
    /// `bytes` have been received so far.
    fn progress(&mut self, bytes: u64);
}

/// Receives one whole stream. Returns when the source has sent *complete* and everything that it announced. `grammar`
/// knows which archives it may announce. If `another_waits`, the source is left if it is too slow.
///
/// # Errors
/// [`AttemptError::ThreadStopped`] if the staging thread has ended; its own result is the reason.
pub(crate) async fn receive<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    grammar: StreamGrammar,
    policy: NamePolicy,
    another_waits: bool,
    mut steps: StagingSender,
    meter: Meter,
    observer: &mut impl StreamObserver,
) -> Result<(), AttemptError> {
    let batch = steps.free().await.ok_or(AttemptError::ThreadStopped)?;
    let mut receiving = Receiving {
        inflow: Inflow::default(),
        grammar,
        policy,
        steps,
        batch,
        batch_begun: Instant::now(),
        last_advance: Instant::now(),
        waited: Duration::ZERO,
        queued: None,
        pace: QueuedPace::default(),
        meter,
    };
    let received = receiving.receive(connection, another_waits, observer).await;
    // What was accepted before a failure may be the reason for it: the staging thread looks at it too.
    receiving.steps.hand_on(receiving.batch);
    received
}

/// A stream that is being received.
struct Receiving {
    inflow: Inflow,
    grammar: StreamGrammar,
    policy: NamePolicy,
    steps: StagingSender,
    /// What was accepted and not handed on yet, and the bytes that arrive.
    batch: StagingBatch,
    /// When its first step was accepted.
    batch_begun: Instant,
    last_advance: Instant,
    /// How long the stream has waited for the disk, and for its turn.
    waited: Duration,
    /// Where it waits for its turn, and until when at most.
    queued: Option<(QueuePosition, Option<Instant>)>,
    pace: QueuedPace,
    meter: Meter,
}

impl Receiving {
    async fn receive<S: AsyncRead + AsyncWrite>(
        &mut self,
        connection: &mut Connection<S>,
        another_waits: bool,
        observer: &mut impl StreamObserver,
    ) -> Result<(), AttemptError> {
        let mut check = another_waits.then(|| FloorCheck::new(Instant::now(), 0, self.waited));
        loop {
            let arrived = advance_bytes(self.grammar.received());
            let before = self.grammar.received().bytes;
            // Until then more may arrive that can go to the disk at the same time.
            let is_due = !self.batch.is_empty() && self.batch_begun.elapsed() >= limits::STREAM_BATCH_WAIT;
            tokio::select! {
                biased;
                // The staging thread may refuse the announced totals while the source is silent.
                () = self.steps.closed() => return Err(AttemptError::ThreadStopped),
                error = too_slow(&mut check, arrived, self.waited) => return Err(error),
                error = waited_enough(self.queued) => return Err(error),
                read = connection.read_inflow(&mut self.inflow, self.batch.buffer()) => read?,
                // Nothing more has arrived.
                () = std::future::ready(()), if is_due => self.hand_on().await?,
            }
            let is_complete = self.accept(observer).await?;
            let bytes = self.grammar.received().bytes;
            observer.progress(bytes);
            self.meter.count(bytes - before);
            if self.meter.is_limited() {
                self.pass(bytes - before).await?;
            }
            if is_complete {
                return Ok(());
            }
            if self.batch.is_full() {
                if self.batch.is_empty() {
                    self.inflow.compact(self.batch.buffer());
                } else {
                    self.hand_on().await?;
                }
            }
        }
    }

    /// Accepts everything that has arrived. Returns whether the stream is complete.
    async fn accept(&mut self, observer: &mut impl StreamObserver) -> Result<bool, AttemptError> {
        while let Some(taken) = self.inflow.next(self.batch.buffer())? {
            let message = match taken {
                Taken::Content(place) => {
                    self.grammar.data(place.len())?;
                    self.push(StagingStep::Entry(EntryStep::Data(place))).await?;
                    continue;
                }
                Taken::Control(message) => message,
            };
            self.grammar.control(&message)?;
            if let StreamMessage::Queued(position) = message {
                self.queue(position, observer)?;
                continue;
            }
            self.queued = None;
            match sort(message, self.policy).map_err(|error| AttemptError::Content(error.into()))? {
                Sorted::Stream(StreamMessage::KeepAlive) => {
                    let after = limits::STREAM_STALL_DEADLINE;
                    if self.last_advance.elapsed() > after {
                        return Err(WireError::Timeout { what: "progress", after }.into());
                    }
                }
                Sorted::Stream(StreamMessage::Complete) => return Ok(true),
                Sorted::Stream(StreamMessage::Failed(refusal)) => {
                    return Err(WireError::Refused(refusal).into());
                }
                Sorted::Stream(StreamMessage::Begin { totals, .. }) => {
                    observer.announced(totals);
                    self.push(StagingStep::Announced(totals)).await?;
                    // The disk may have no room for it: then nothing of it is accepted.
                    self.hand_on().await?;
                    let waits_since = Instant::now();
                    self.steps.applied().await.ok_or(AttemptError::ThreadStopped)?;
                    self.excuse(waits_since.elapsed());
                }
                Sorted::Stream(message) => {
                    let got = message.name();
                    return Err(WireError::Unexpected { expected: "an entry", got }.into());
                }
                Sorted::Entry(step) => {
                    if let EntryStep::ArchiveBegin(summary) = &step {
                        observer.archive(summary);
                    }
                    self.push(StagingStep::Entry(step)).await?;
                }
            }
        }
        Ok(false)
    }

    /// Waits until so many bytes could have come, which have come. The source is not slow for that.
    async fn pass(&mut self, bytes: u64) -> Result<(), AttemptError> {
        let waits_since = Instant::now();
        tokio::select! {
            biased;
            () = self.steps.closed() => return Err(AttemptError::ThreadStopped),
            () = self.meter.pass(bytes) => {}
        }
        self.excuse(waits_since.elapsed());
        Ok(())
    }

    /// The source has no place yet. It is neither slow nor stalled.
    fn queue(
        &mut self,
        position: QueuePosition,
        observer: &mut impl StreamObserver,
    ) -> Result<(), AttemptError> {
        let now = Instant::now();
        self.pace.said(now)?;
        self.waited += now - self.last_advance;
        self.last_advance = now;
        self.queued = Some((position, observer.queued(position)?));
        Ok(())
    }

    async fn push(&mut self, step: StagingStep) -> Result<(), AttemptError> {
        self.last_advance = Instant::now();
        if self.batch.is_empty() {
            self.batch_begun = self.last_advance;
        }
        self.batch.push(step);
        if self.batch.has_many_steps() { self.hand_on().await } else { Ok(()) }
    }

    /// Hands the batch on and goes on in another one, once there is one.
    async fn hand_on(&mut self) -> Result<(), AttemptError> {
        let waits_since = Instant::now();
        let mut next = self.steps.free().await.ok_or(AttemptError::ThreadStopped)?;
        self.excuse(waits_since.elapsed());
        self.inflow.go_on(self.batch.buffer(), next.buffer());
        self.steps.hand_on(std::mem::replace(&mut self.batch, next));
        Ok(())
    }

    /// Waiting for a busy disk is not the source's fault, so that time does not count against it.
    fn excuse(&mut self, waited: Duration) {
        self.waited += waited;
        self.last_advance += waited;
        self.inflow.excuse(waited);
    }
}

/// How far a stream has come, for the measurement of its speed: an entry counts as much as the space that it takes, so
/// that thousands of empty files are not taken for silence.
fn advance_bytes(received: Totals) -> u64 {
    received.bytes.saturating_add(received.entries().saturating_mul(limits::SPACE_PER_ENTRY_BYTES))
}

/// Returns when the wait for a turn takes too long; never if none is waited for. Cancel safe.
async fn waited_enough(queued: Option<(QueuePosition, Option<Instant>)>) -> AttemptError {
    match queued {
        Some((position, Some(until))) => {
            sleep_until(until).await;
            AttemptError::NoPlace(position)
        }
        _ => std::future::pending().await,
    }
}

/// Returns when the source was too slow in a whole span; never if it is not measured. Cancel safe.
async fn too_slow(check: &mut Option<FloorCheck>, arrived: u64, waited: Duration) -> AttemptError {
    let Some(check) = check else { return std::future::pending().await };
    loop {
        sleep_until(check.ends(waited)).await;
        if check.judge(Instant::now(), arrived, waited) == Some(Speed::TooSlow) {
            return AttemptError::TooSlow;
        }
    }
}

#[cfg(test)]
mod tests;
