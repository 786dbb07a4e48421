//! Sends one game as one stream: a decoder on a blocking thread, a bounded queue of frames, the socket.
//!
//! Shutdown promise: however the stream ends (complete, failed, receiver gone, peer stopping), the decoder is
//! cancelled, unblocked and joined before [`send`] returns, so no thread, child or count outlives it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use lanspread_archive::ArchiveError;
use lanspread_archive::list::{ListedArchive, dictionary_bytes, list};
use lanspread_archive::provider::{ArchiveProvider, SharedSink};
use lanspread_archive::set::ArchiveSet;
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, StreamMessage};
use lanspread_types::content::Totals;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::dictionaries::{Dictionaries, DictionaryMemory};
use super::forward::{Forwarding, Interruption};
use super::frame_queue::{FrameSender, frame_queue};
use super::refusal;
use super::running::{Running, StreamEnd};
use super::sink::WireSink;
use crate::guests::guest::Guest;
use crate::guests::places::ExpectedBytes;
use crate::task::Tasks;

/// Streams the archives over the connection.
pub(super) async fn send<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    provider: Arc<dyn ArchiveProvider>,
    archives: Vec<ArchiveSet>,
    (dictionaries, guest): (Dictionaries, Guest),
    tasks: &Tasks,
    running: &Running<'_>,
) -> StreamEnd {
    let memory = move |bytes| dictionaries.take(&guest, bytes);
    let expected = running.expected();
    let work = move |frames, cancel: &CancellationToken| {
        decode(provider.as_ref(), &archives, frames, (memory, expected), cancel)
    };
    send_frames(connection, tasks, running, "decoder", work).await
}

/// Streams the frames that `work` makes on a blocking thread of this name.
pub(super) async fn send_frames<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    tasks: &Tasks,
    running: &Running<'_>,
    name: &'static str,
    work: impl FnOnce(FrameSender, &CancellationToken) -> Result<(), Refusal> + Send + 'static,
) -> StreamEnd {
    let (frames, queue) = frame_queue();
    let cancel = CancellationToken::new();
    // The thread is also cancelled if this future is dropped half-way.
    let cancel_on_drop = cancel.clone().drop_guard();
    let decoding = tasks.spawn_blocking(name, move || work(frames, &cancel));

    let mut forwarding = Forwarding::begin(connection, running);
    let interrupted = forwarding.forward(&queue).await;
    let bytes = forwarding.bytes();
    drop(cancel_on_drop);
    drop(queue);
    let decoded = decoding.await;

    let outcome = match (interrupted, decoded) {
        (Err(Interruption::ReceiverGone), _) => "receiver-gone",
        (Err(Interruption::Wire(error)), _) => {
            tracing::info!("the stream to {} ended: {error}", connection.theirs.name);
            error.code()
        }
        (Err(Interruption::CutOff(end, error)), _) => {
            tracing::info!("the stream to {} ends: {}, {error}", connection.theirs.name, end.outcome());
            end.outcome()
        }
        (Err(Interruption::MustEnd(end)), _) => {
            tracing::info!("the stream to {} ends: {}", connection.theirs.name, end.outcome());
            // Whether or not it still listens.
            let _ = timeout(limits::FAREWELL_DEADLINE, fail(connection, end.refusal())).await;
            end.outcome()
        }
        (Ok(()), Ok(Ok(()))) => "complete",
        (Ok(()), Ok(Err(refusal))) => {
            tracing::warn!("a stream to {} failed: {}", connection.theirs.name, refusal.message);
            fail(connection, refusal).await
        }
        (Ok(()), Err(error)) => {
            tracing::error!("the {name} of a stream ended abnormally: {error}");
            fail(connection, Refusal::new(RefusalCode::Internal, &format!("the {name} failed"))).await
        }
    };
    StreamEnd { outcome, bytes }
}

/// Tells the receiver why the stream ends, if it still listens.
async fn fail<S: AsyncRead + AsyncWrite>(connection: &mut Connection<S>, refusal: Refusal) -> &'static str {
    let code = refusal.code.as_str();
    if let Err(error) = connection.send(&StreamMessage::Failed(refusal)).await {
        tracing::debug!("cannot tell the receiver why the stream ended: {error}");
    }
    code
}

/// The decoder's thread: lists everything, gets memory, announces the totals, then decodes archive by archive.
fn decode(
    provider: &dyn ArchiveProvider,
    archives: &[ArchiveSet],
    frames: FrameSender,
    (memory, expected): (impl FnOnce(u64) -> Result<DictionaryMemory, Refusal>, ExpectedBytes),
    cancel: &CancellationToken,
) -> Result<(), Refusal> {
    let failed = |error: ArchiveError| {
        tracing::debug!("a decoder stops: {error}");
        refusal::of_archive(&error)
    };
    let (listed, totals) = list(provider, archives, cancel).map_err(failed)?;
    let _memory = memory(dictionary_bytes(&listed))?;
    expected.are(totals.bytes);
    push_all(provider, listed, totals, frames, cancel).map_err(failed)
}

fn push_all(
    provider: &dyn ArchiveProvider,
    archives: Vec<ListedArchive>,
    totals: Totals,
    frames: FrameSender,
    cancel: &CancellationToken,
) -> Result<(), ArchiveError> {
    frames.control(&StreamMessage::Begin { archives: archives.len() as u64, totals })?;
    let frames = Rc::new(frames);
    for archive in archives {
        let sink: SharedSink = Rc::new(RefCell::new(WireSink(Rc::clone(&frames))));
        archive.extract(provider, sink, cancel)?;
    }
    Ok(frames.control(&StreamMessage::Complete)?)
}
