//! Sends one game as one stream: a decoder on a blocking thread, a bounded channel, the socket.
//!
//! Shutdown promise: however the stream ends (complete, failed, receiver gone, peer stopping), the decoder is
//! cancelled, unblocked and joined before [`send`] returns, so no thread, child or count outlives it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use lanspread_archive::ArchiveError;
use lanspread_archive::list::list;
use lanspread_archive::provider::{ArchiveProvider, SharedSink};
use lanspread_archive::set::ArchiveSet;
use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::error::within;
use lanspread_proto::message::{Refusal, RefusalCode, StreamItem, StreamMessage};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::refusal;
use super::sink::WireSink;
use crate::task::Tasks;

/// How a stream ended.
#[derive(Debug)]
pub(crate) struct StreamEnd {
    /// `complete`, or the stable code of what ended it.
    pub(crate) outcome: &'static str,
    /// Data bytes handed to the socket.
    pub(crate) bytes: u64,
}

/// Why the socket's side of a stream stopped before the decoder did.
enum Interruption {
    ReceiverGone,
    Stopping,
    Wire(WireError),
}

/// Streams the archives over the connection.
pub(crate) async fn send<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    provider: Arc<dyn ArchiveProvider>,
    archives: Vec<ArchiveSet>,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> StreamEnd {
    let (items, mut queue) = mpsc::channel(limits::STREAM_QUEUE_ITEMS);
    let cancel = CancellationToken::new();
    // The decoder is also cancelled if this future is dropped half-way.
    let cancel_on_drop = cancel.clone().drop_guard();
    let decoding =
        tasks.spawn_blocking("decoder", move || decode(provider.as_ref(), &archives, &items, &cancel));

    let mut bytes = 0;
    let interrupted = forward(connection, &mut queue, stop, &mut bytes).await;
    drop(cancel_on_drop);
    drop(queue);
    let decoded = decoding.await;

    let outcome = match (interrupted, decoded) {
        (Err(Interruption::ReceiverGone), _) => "receiver-gone",
        (Err(Interruption::Wire(error)), _) => {
            tracing::info!("the stream to {} ended: {error}", connection.theirs.name);
            error.code()
        }
        (Err(Interruption::Stopping), _) => {
            let telling =
                fail(connection, Refusal::new(RefusalCode::Stopping, "the source stopped sending it"));
            timeout(limits::FAREWELL_DEADLINE, telling).await.unwrap_or(RefusalCode::Stopping.as_str())
        }
        (Ok(()), Ok(Ok(()))) => "complete",
        (Ok(()), Ok(Err(error))) => {
            tracing::warn!("a stream to {} failed: {error}", connection.theirs.name);
            fail(connection, refusal::of_archive(&error)).await
        }
        (Ok(()), Err(error)) => {
            tracing::error!("the decoder of a stream ended abnormally: {error}");
            fail(connection, Refusal::new(RefusalCode::Internal, "the decoder failed")).await
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

/// Moves items from the decoder to the socket until there are no more.
async fn forward<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    queue: &mut mpsc::Receiver<StreamItem>,
    stop: &CancellationToken,
    bytes: &mut u64,
) -> Result<(), Interruption> {
    let mut last_sent = Instant::now();
    loop {
        let item = tokio::select! {
            item = queue.recv() => match item {
                Some(item) => item,
                None => break,
            },
            () = connection.gone() => return Err(Interruption::ReceiverGone),
            () = stop.cancelled() => return Err(Interruption::Stopping),
            () = sleep_until(last_sent + limits::KEEP_ALIVE_INTERVAL) => StreamItem::Control(StreamMessage::KeepAlive),
        };
        if let StreamItem::Data(data) = &item {
            *bytes += data.len() as u64;
        }
        // After the last item the receiver may close the connection at once, which is not a failure.
        let is_last = matches!(item, StreamItem::Control(StreamMessage::Complete));
        let mut write = std::pin::pin!(async {
            connection.write_item(item).await?;
            // Small frames travel together as long as more are waiting.
            if queue.is_empty() { connection.flush().await } else { Ok(()) }
        });
        tokio::select! {
            written = &mut write => written.map_err(Interruption::Wire)?,
            () = stop.cancelled() => {
                // Only its other half can follow half a frame.
                let written = within(limits::FAREWELL_DEADLINE, "room for a frame", write).await;
                return Err(written.map_or_else(Interruption::Wire, |()| Interruption::Stopping));
            }
        }
        if is_last {
            break;
        }
        last_sent = Instant::now();
    }
    connection.flush().await.map_err(Interruption::Wire)
}

/// The decoder's thread: lists everything, announces the totals, then decodes archive by archive.
pub(crate) fn decode(
    provider: &dyn ArchiveProvider,
    archives: &[ArchiveSet],
    items: &mpsc::Sender<StreamItem>,
    cancel: &CancellationToken,
) -> Result<(), ArchiveError> {
    let (listed, totals) = list(provider, archives, cancel)?;
    let control = |message| WireSink::new(items.clone()).send(StreamItem::Control(message));
    control(StreamMessage::Begin { archives: archives.len() as u64, totals })?;
    for archive in listed {
        let sink: SharedSink = Rc::new(RefCell::new(WireSink::new(items.clone())));
        archive.extract(provider, sink, cancel)?;
    }
    control(StreamMessage::Complete)?;
    Ok(())
}
