//! Sends one game as one stream: a decoder on a blocking thread, a bounded channel, the socket.
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
use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::error::within;
use lanspread_proto::message::{Refusal, RefusalCode, StreamItem, StreamMessage};
use lanspread_types::content::Totals;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::dictionaries::{Dictionaries, DictionaryMemory};
use super::pace::Pace;
use super::refusal;
use super::running::{EarlyEnd, Running, StreamEnd};
use super::sink::WireSink;
use crate::guests::guest::Guest;
use crate::task::Tasks;

/// Why the socket's side of a stream stopped before the decoder did.
enum Interruption {
    ReceiverGone,
    MustEnd(EarlyEnd),
    Wire(WireError),
}

/// Streams the archives over the connection.
pub(super) async fn send<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    provider: Arc<dyn ArchiveProvider>,
    archives: Vec<ArchiveSet>,
    (dictionaries, guest): (Dictionaries, Guest),
    tasks: &Tasks,
    running: &Running<'_>,
) -> StreamEnd {
    let (items, mut queue) = mpsc::channel(limits::STREAM_QUEUE_ITEMS);
    let cancel = CancellationToken::new();
    // The decoder is also cancelled if this future is dropped half-way.
    let cancel_on_drop = cancel.clone().drop_guard();
    let memory = move |bytes| dictionaries.take(&guest, bytes);
    let decoding = tasks
        .spawn_blocking("decoder", move || decode(provider.as_ref(), &archives, &items, memory, &cancel));

    let mut bytes = 0;
    let interrupted = forward(connection, &mut queue, running, &mut bytes).await;
    drop(cancel_on_drop);
    drop(queue);
    let decoded = decoding.await;

    let outcome = match (interrupted, decoded) {
        (Err(Interruption::ReceiverGone), _) => "receiver-gone",
        (Err(Interruption::Wire(error)), _) => {
            tracing::info!("the stream to {} ended: {error}", connection.theirs.name);
            error.code()
        }
        (Err(Interruption::MustEnd(end)), _) => {
            tracing::info!("the stream to {} ends: {}", connection.theirs.name, end.outcome());
            // Whether or not it can still be told.
            let _ = timeout(limits::FAREWELL_DEADLINE, fail(connection, end.refusal())).await;
            end.outcome()
        }
        (Ok(()), Ok(Ok(()))) => "complete",
        (Ok(()), Ok(Err(refusal))) => {
            tracing::warn!("a stream to {} failed: {}", connection.theirs.name, refusal.message);
            fail(connection, refusal).await
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
    running: &Running<'_>,
    bytes: &mut u64,
) -> Result<(), Interruption> {
    let mut pace = Pace::default();
    running.sent(0);
    let mut last_sent = Instant::now();
    loop {
        let item = tokio::select! {
            item = queue.recv() => match item {
                Some(item) => item,
                None => break,
            },
            () = connection.gone() => return Err(Interruption::ReceiverGone),
            end = running.must_end() => return Err(Interruption::MustEnd(end)),
            () = sleep_until(last_sent + limits::KEEP_ALIVE_INTERVAL) => StreamItem::Control(StreamMessage::KeepAlive),
        };
        let taken = match &item {
            StreamItem::Data(data) => {
                *bytes += data.len() as u64;
                running.sent(*bytes);
                data.len() as u64
            }
            StreamItem::Control(StreamMessage::KeepAlive) => 0,
            // To create a file or a folder is work for the receiver's disk.
            StreamItem::Control(_) => limits::RECEIVER_STEP_BYTES_MIN,
        };
        // After the last item the receiver may close the connection at once, which is not a failure.
        let is_last = matches!(item, StreamItem::Control(StreamMessage::Complete));
        let begun = Instant::now();
        let mut write = std::pin::pin!(async {
            connection.write_item(item).await?;
            // Small frames travel together as long as more are waiting.
            if queue.is_empty() { connection.flush().await } else { Ok(()) }
        });
        tokio::select! {
            written = &mut write => written.map_err(Interruption::Wire)?,
            end = running.must_end() => {
                // Only its other half can follow half a frame.
                let written = within(limits::FAREWELL_DEADLINE, "room for a frame", write).await;
                return Err(written.map_or_else(Interruption::Wire, |()| Interruption::MustEnd(end)));
            }
        }
        if is_last {
            break;
        }
        if !pace.keeps_up(begun.elapsed(), taken) {
            return Err(Interruption::MustEnd(EarlyEnd::ReceiverSlow));
        }
        last_sent = Instant::now();
    }
    connection.flush().await.map_err(Interruption::Wire)
}

/// The decoder's thread: lists everything, gets memory, announces the totals, then decodes archive by archive.
fn decode(
    provider: &dyn ArchiveProvider,
    archives: &[ArchiveSet],
    items: &mpsc::Sender<StreamItem>,
    memory: impl FnOnce(u64) -> Result<DictionaryMemory, Refusal>,
    cancel: &CancellationToken,
) -> Result<(), Refusal> {
    let failed = |error: ArchiveError| {
        tracing::debug!("a decoder stops: {error}");
        refusal::of_archive(&error)
    };
    let (listed, totals) = list(provider, archives, cancel).map_err(failed)?;
    let _memory = memory(dictionary_bytes(&listed))?;
    push_all(provider, listed, totals, items, cancel).map_err(failed)
}

fn push_all(
    provider: &dyn ArchiveProvider,
    archives: Vec<ListedArchive>,
    totals: Totals,
    items: &mpsc::Sender<StreamItem>,
    cancel: &CancellationToken,
) -> Result<(), ArchiveError> {
    let control = |message| WireSink::new(items.clone()).send(StreamItem::Control(message));
    control(StreamMessage::Begin { archives: archives.len() as u64, totals })?;
    for archive in archives {
        let sink: SharedSink = Rc::new(RefCell::new(WireSink::new(items.clone())));
        archive.extract(provider, sink, cancel)?;
    }
    control(StreamMessage::Complete)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lanspread_proto::codec;
    use lanspread_proto::message::{Hello, PROTOCOL_VERSION};
    use lanspread_testing::lying_source::control_frame;
    use lanspread_types::ids::PeerId;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::guests::places::Places;
    use crate::guests::shares::Shares;
    use crate::source::running::TransferKind;

    fn hello() -> Hello {
        Hello { peer: PeerId::random().unwrap(), name: "pc".parse().unwrap(), listen_port: None, instance: 0 }
    }

    /// How a stream of small frames ends for a receiver that takes one byte per `pause`, within an hour.
    async fn end_of_stream(pause: Duration) -> Option<EarlyEnd> {
        let (mut near, far) = duplex(256);
        let ours = hello();
        let greeting = control_frame(&codec::encode(&ours).unwrap());
        let greeting = [&b"LANSPRD\n"[..], &PROTOCOL_VERSION.to_be_bytes(), &greeting].concat();
        near.write_all(&greeting).await.unwrap();
        let receiving = async {
            loop {
                tokio::time::sleep(pause).await;
                near.read_u8().await.unwrap();
            }
        };
        let sending = async {
            let mut connection = Connection::open(far, &ours).await.unwrap();
            let (items, mut queue) = mpsc::channel(1);
            let producing = async {
                let step = || StreamItem::Control(StreamMessage::Directory { path: "folder".to_owned() });
                while items.send(step()).await.is_ok() {}
            };
            let shares = Shares { places: 1, share: 1, kept: 0, most: 1, idle_max: Duration::ZERO };
            let guest = Guest::at([10, 0, 0, 1].into());
            let place = Places::new(shares).take(guest).unwrap();
            let stop = CancellationToken::new();
            let running = Running::new(&stop, &place, TransferKind::Stream);
            let mut bytes = 0;
            let forwarding = forward(&mut connection, &mut queue, &running, &mut bytes);
            tokio::select! {
                end = timeout(Duration::from_hours(1), forwarding) => end,
                () = producing => unreachable!("the queue is open"),
            }
        };
        tokio::select! {
            end = sending => match end {
                Ok(Err(Interruption::MustEnd(end))) => Some(end),
                Err(_) => None,
                Ok(_) => panic!("the receiver is still there, and there is more to send"),
            },
            () = receiving => unreachable!("it reads for ever"),
        }
    }

    /// Small frames have a deadline each, so that a receiver could keep its place with nearly nothing. One that takes
    /// fewer frames than the slowest disk creates files loses it; one that takes more keeps it, however few bytes these
    /// are.
    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_takes_nearly_nothing_loses_its_place() {
        assert_eq!(end_of_stream(Duration::from_millis(500)).await, Some(EarlyEnd::ReceiverSlow));
        assert_eq!(end_of_stream(Duration::from_millis(20)).await, None);
    }
}
