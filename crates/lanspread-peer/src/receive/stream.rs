//! Receives a stream: frames are judged by the grammar, names by the policy, and what passes goes through a bounded
//! channel to the staging thread. Runs over any `AsyncRead + AsyncWrite`.

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
use tokio::time::Instant;

use crate::receive::error::AttemptError;

/// One judged step of a stream, on its way to the staging thread.
#[derive(Debug)]
pub(crate) enum StagingStep {
    /// The totals are known and nothing was written yet: space is booked, or the stream is refused.
    Announced(Totals),
    /// Content of an archive.
    Entry(EntryStep<Bytes>),
}

/// What the receiver of a stream wants to know and decide while it runs.
pub(crate) trait StreamObserver {
    /// The totals are known.
    fn announced(&mut self, totals: Totals);
    /// An archive begins.
    fn archive(&mut self, archive: &ArchiveSummary);
    /// `bytes` were received so far.
    fn progress(&mut self, bytes: u64);
}

/// Receives one whole stream. Returns when the source said *complete* and everything it announced has come.
///
/// # Errors
/// [`AttemptError::StagingStopped`] when the staging thread takes no more; its own result says why.
pub(crate) async fn receive<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    policy: NamePolicy,
    steps: mpsc::Sender<StagingStep>,
    observer: &mut impl StreamObserver,
) -> Result<(), AttemptError> {
    let mut grammar = StreamGrammar::default();
    let mut last_advance = Instant::now();
    loop {
        // The staging thread may refuse what was announced while the source is silent.
        let item = tokio::select! {
            item = connection.receive_item() => item?,
            () = steps.closed() => return Err(AttemptError::StagingStopped),
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
        // Waiting for a busy disk is not the source's fault: the clocks of the source stand still meanwhile.
        steps.send(step).await.map_err(|_| AttemptError::StagingStopped)?;
        last_advance = Instant::now();
        observer.progress(grammar.received().bytes);
    }
}

/// The staging thread: applies steps until the channel closes. Returns the sink for its completion. The space that
/// `book` books is held until then.
pub(crate) fn stage(
    mut sink: StagingSink,
    mut steps: mpsc::Receiver<StagingStep>,
    book: impl Fn(Totals) -> Result<Booking, LocalError>,
) -> Result<StagingSink, SinkError> {
    let mut booking = None;
    let mut written_bytes = 0;
    while let Some(step) = steps.blocking_recv() {
        match step {
            StagingStep::Announced(totals) => booking = Some(book(totals)?),
            StagingStep::Entry(step) => {
                let bytes = match &step {
                    EntryStep::Data(bytes) => bytes.clone(),
                    _ => Bytes::new(),
                };
                sink.take(step.map_data(|_| &bytes[..]))?;
                written_bytes += bytes.len() as u64;
                if let Some(booking) = &booking {
                    booking.note_written(written_bytes);
                }
            }
        }
    }
    Ok(sink)
}

#[cfg(test)]
mod tests;
