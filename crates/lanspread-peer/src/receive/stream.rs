//! Receives a stream. The grammar checks the frames, the policy checks the names, and accepted steps pass through a
//! bounded channel to the staging thread. This runs over any `AsyncRead + AsyncWrite`.

use std::time::Duration;

use bytes::Bytes;
use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::entry::{Sorted, sort};
use lanspread_proto::grammar::StreamGrammar;
use lanspread_proto::message::{StreamItem, StreamMessage};
use lanspread_store::install::staging::StagingSink;
use lanspread_store::state::booking::Booking;
use lanspread_types::content::{ArchiveSummary, EntryStep, Totals};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::fault::LocalError;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::receive::error::AttemptError;
use crate::receive::floor_check::{FloorCheck, Speed};

/// One accepted step of a stream, on its way to the staging thread.
#[derive(Debug)]
pub(crate) enum StagingStep {
    /// The totals, before anything is written: the staging thread books the space or refuses the stream.
    Announced(Totals),
    /// Content of an archive.
    Entry(EntryStep<Bytes>),
}

/// Observes a stream while it runs.
pub(crate) trait StreamObserver {
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
/// [`AttemptError::StagingStopped`] if the staging thread has ended; its own result is the reason.
pub(crate) async fn receive<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    mut grammar: StreamGrammar,
    policy: NamePolicy,
    another_waits: bool,
    steps: mpsc::Sender<StagingStep>,
    observer: &mut impl StreamObserver,
) -> Result<(), AttemptError> {
    let mut last_advance = Instant::now();
    let mut waited = Duration::ZERO;
    let mut check = another_waits.then(|| FloorCheck::new(Instant::now(), 0, waited));
    loop {
        let arrived = advance_bytes(grammar.received());
        // The staging thread may refuse the announced totals while the source is silent.
        let item = tokio::select! {
            item = connection.receive_item() => item?,
            () = steps.closed() => return Err(AttemptError::StagingStopped),
            error = too_slow(&mut check, arrived, waited) => return Err(error),
        };
        match &item {
            StreamItem::Data(bytes) => grammar.data(bytes.len())?,
            StreamItem::Control(message) => grammar.control(message)?,
        }
        let step = match sort(item, policy).map_err(|error| AttemptError::Content(error.into()))? {
            Sorted::Stream(StreamMessage::KeepAlive) => {
                let after = limits::STREAM_STALL_DEADLINE;
                if last_advance.elapsed() > after {
                    return Err(WireError::Timeout { what: "progress", after }.into());
                }
                continue;
            }
            Sorted::Stream(StreamMessage::Complete) => return Ok(()),
            Sorted::Stream(StreamMessage::Failed(refusal)) => return Err(WireError::Refused(refusal).into()),
            Sorted::Stream(StreamMessage::Begin { totals, .. }) => {
                observer.announced(totals);
                StagingStep::Announced(totals)
            }
            Sorted::Stream(message) => {
                let got = message.name();
                return Err(WireError::Unexpected { expected: "an entry", got }.into());
            }
            Sorted::Entry(step) => {
                if let EntryStep::ArchiveBegin(summary) = &step {
                    observer.archive(summary);
                }
                StagingStep::Entry(step)
            }
        };
        // Waiting for a busy disk is not the source's fault, so that time does not count against it.
        let waits_since = Instant::now();
        steps.send(step).await.map_err(|_| AttemptError::StagingStopped)?;
        waited += waits_since.elapsed();
        last_advance = Instant::now();
        observer.progress(grammar.received().bytes);
    }
}

/// How far a stream has come, for the measurement of its speed: an entry counts as much as the space that it takes, so
/// that thousands of empty files are not taken for silence.
fn advance_bytes(received: Totals) -> u64 {
    received.bytes.saturating_add(received.entries().saturating_mul(limits::SPACE_PER_ENTRY_BYTES))
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

/// The staging thread: applies steps until the channel closes, and then returns the sink to be completed. The sink holds
/// the space that `book` booked.
pub(crate) fn stage(
    mut sink: StagingSink,
    mut steps: mpsc::Receiver<StagingStep>,
    book: impl Fn(Totals) -> Result<Booking, LocalError>,
) -> Result<StagingSink, SinkError> {
    while let Some(step) = steps.blocking_recv() {
        match step {
            StagingStep::Announced(totals) => sink.announce(totals, book(totals)?),
            StagingStep::Entry(step) => {
                let bytes = match &step {
                    EntryStep::Data(bytes) => bytes.clone(),
                    _ => Bytes::new(),
                };
                sink.take(step.map_data(|_| &bytes[..]))?;
            }
        }
    }
    Ok(sink)
}

#[cfg(test)]
mod tests;
