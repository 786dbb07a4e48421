//! Sends the root files of one game as they are, chunk by chunk: a reader on a blocking thread, bounded channels, the
//! socket.
//!
//! Each file is announced with a fingerprint. The source reports a chunk as whole only if the file had this fingerprint
//! before and after it was read. A request can name only files of the announced list.
//!
//! Shutdown promise, as for streams: however a download ends, the reader is unblocked and joined before [`serve`]
//! returns, so no thread, open file or count outlives it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use lanspread_proto::WireError;
use lanspread_proto::chunk::{Buffers, ChunkMessage, ChunkRequest, Incoming, Outgoing};
use lanspread_proto::connection::Connection;
use lanspread_proto::error::within;
use lanspread_proto::message::{DownloadFile, Refusal, RefusalCode, Reply};
use lanspread_types::checksum::{Checksum, ChecksumHasher};
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::admission::Receiver;
use super::pace::Pace;
use super::running::{EarlyEnd, Running, StreamEnd, TransferKind};
use super::waiting::Asking;
use super::{Source, waiting};
use crate::source::parts::{FILES_PER_MESSAGE, in_parts};
use crate::source::served_chunks::{FilesOnDisk, ServedChunks, changed};
use crate::task::Tasks;

/// Serves one download to its end, refusals included.
pub(super) async fn serve<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    connection: &mut Connection<S>,
    asking: Asking<'_>,
    game: GameId,
    version: GameVersion,
) -> Result<(), WireError> {
    let place =
        waiting::place::<Reply, _>(&source.transfers, source.waits.for_game(&game), connection, asking)
            .await?;
    let Some(place) = place else { return Ok(()) };
    let admitted = source.admit(place, TransferKind::Download, game, version, FilesOnDisk::survey).await;
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => return connection.send(&Reply::Refused(refusal)).await,
    };
    for part in in_parts(admitted.what.files(), FILES_PER_MESSAGE, |files, more| Reply::DownloadReady {
        files: files.to_vec(),
        more,
    }) {
        connection.send(&part).await?;
    }
    let to = Receiver::of(connection);
    admitted
        .run(to, asking.stop, async |chunks, running| send(connection, chunks, &source.tasks, running).await)
        .await;
    Ok(())
}

/// What the reader hands to the socket.
enum Item {
    Data { buffer: BytesMut, length: usize },
    Control(ChunkMessage),
}

/// How the socket's side of a download ended.
enum DownloadEnd {
    /// The receiver closed the connection, and no chunk was owed.
    Complete,
    ReceiverGone,
    MustEnd(EarlyEnd),
    /// The reader failed, and the receiver knows why.
    Failed(RefusalCode),
    Wire(WireError),
}

async fn send<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    chunks: impl ServedChunks,
    tasks: &Tasks,
    running: &Running<'_>,
) -> StreamEnd {
    let (requests, wanted) = mpsc::channel(limits::CHUNK_REQUESTS_MAX);
    let (items, mut queue) = mpsc::channel(limits::CHUNK_QUEUE_ITEMS);
    // At most: it may fetch a part of it, or the rest from others.
    running.expected().are(chunks.files().iter().map(|file| file.file.size).sum());
    let buffers = Arc::new(Buffers::default());
    let reader = Reader { chunks, items, buffers: Arc::clone(&buffers) };
    let reading = tasks.spawn_blocking("chunk-reader", move || reader.run(wanted));

    let owed = Owed::default();
    let mut bytes = 0;
    let name = connection.theirs.name.clone();
    let (mut incoming, mut outgoing) = connection.halves();
    let end = tokio::select! {
        end = take_requests(&mut incoming, requests, running, &owed) => end,
        end = send_items(&mut outgoing, &mut queue, &buffers, running, &owed, &mut bytes) => end,
    };
    drop(queue);
    if let Err(error) = reading.await {
        tracing::error!("the reader of a download ended abnormally: {error}");
    }
    let outcome = match end {
        DownloadEnd::Complete => "complete",
        DownloadEnd::ReceiverGone => "receiver-gone",
        DownloadEnd::Failed(code) => code.as_str(),
        DownloadEnd::Wire(error) => {
            tracing::info!("the download of {name} ended: {error}");
            error.code()
        }
        DownloadEnd::MustEnd(end) => {
            tracing::info!("the download of {name} ends: {}", end.outcome());
            let telling = async {
                outgoing.message(&ChunkMessage::Failed(end.refusal())).await?;
                outgoing.flush().await
            };
            if !matches!(timeout(limits::FAREWELL_DEADLINE, telling).await, Ok(Ok(()))) {
                tracing::debug!("{name} cannot be told why its download ends");
            }
            end.outcome()
        }
    };
    StreamEnd { outcome, bytes }
}

/// What the source owes its receiver, and how long it waits for it when it owes nothing.
#[derive(Default)]
struct Owed(Mutex<Account>);

#[derive(Default)]
struct Account {
    /// Chunks that were requested and not sent whole.
    unanswered: u64,
    /// Since when nothing is owed; none at first and while something is.
    idle_since: Option<Instant>,
    /// Bytes that were sent.
    bytes: u64,
    pace: Pace,
}

impl Owed {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chunks(&self) -> u64 {
        self.account().unanswered
    }

    /// A request has arrived. Returns whether the receiver still keeps up.
    fn asked(&self) -> bool {
        let mut account = self.account();
        account.unanswered += 1;
        let waited = account.idle_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        account.pace.keeps_up(waited, 0)
    }

    /// Something was sent, and sending took so long. Returns whether the receiver still keeps up.
    fn sent(&self, taken: Duration, bytes: u64, chunk_ends: bool) -> bool {
        let mut account = self.account();
        account.bytes = account.bytes.saturating_add(bytes);
        if chunk_ends {
            account.unanswered = account.unanswered.saturating_sub(1);
            account.idle_since = (account.unanswered == 0).then(Instant::now);
        }
        account.pace.keeps_up(taken, bytes)
    }
}

/// Moves requests from the socket to the reader until the receiver closes or breaks the protocol.
async fn take_requests<S: AsyncRead>(
    incoming: &mut Incoming<'_, S>,
    requests: mpsc::Sender<ChunkRequest>,
    running: &Running<'_>,
    owed: &Owed,
) -> DownloadEnd {
    loop {
        match timeout(limits::REQUEST_IDLE_DEADLINE, incoming.begins()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) if owed.chunks() == 0 => return DownloadEnd::Complete,
            Ok(_) => return DownloadEnd::ReceiverGone,
            // A receiver need not ask while it is still waiting for chunks.
            Err(_) if owed.chunks() > 0 => continue,
            Err(_) => {
                return DownloadEnd::Wire(WireError::Timeout {
                    what: "chunk request",
                    after: limits::REQUEST_IDLE_DEADLINE,
                });
            }
        }
        let request = match incoming.message::<ChunkRequest>("chunk request").await {
            Ok(request) => request,
            Err(error) => return DownloadEnd::Wire(error),
        };
        running.sent(owed.account().bytes);
        if !owed.asked() {
            return DownloadEnd::MustEnd(EarlyEnd::ReceiverSlow);
        }
        if requests.send(request).await.is_err() {
            // The reader has failed, and its reason is on its way to the socket.
            return std::future::pending().await;
        }
    }
}

/// Moves what the reader has read to the socket.
async fn send_items<S: AsyncWrite>(
    outgoing: &mut Outgoing<'_, S>,
    queue: &mut mpsc::Receiver<Item>,
    buffers: &Buffers,
    running: &Running<'_>,
    owed: &Owed,
    bytes: &mut u64,
) -> DownloadEnd {
    let mut last_sent = Instant::now();
    loop {
        let item = tokio::select! {
            item = queue.recv() => match item {
                Some(item) => item,
                None => return DownloadEnd::Failed(RefusalCode::Internal),
            },
            end = running.must_end() => return DownloadEnd::MustEnd(end),
            () = sleep_until(last_sent + limits::KEEP_ALIVE_INTERVAL) => {
                last_sent = Instant::now();
                if owed.chunks() == 0 {
                    continue;
                }
                Item::Control(ChunkMessage::KeepAlive)
            }
        };
        let (mut failed, mut taken, mut chunk_ends) = (None, 0, false);
        match &item {
            Item::Data { length, .. } => {
                taken = *length as u64;
                if let Err(end) = pass(outgoing, running, taken, &mut last_sent).await {
                    return end;
                }
                *bytes += taken;
                running.meter().count(taken);
                running.sent(*bytes);
            }
            Item::Control(ChunkMessage::End { .. }) => chunk_ends = true,
            Item::Control(ChunkMessage::Failed(refusal)) => failed = Some(refusal.code),
            Item::Control(ChunkMessage::KeepAlive) => {}
        }
        let begun = Instant::now();
        let mut write = std::pin::pin!(async {
            match item {
                Item::Data { buffer, length } => {
                    outgoing.data(&buffer[..length]).await?;
                    buffers.give(buffer);
                }
                Item::Control(message) => outgoing.message(&message).await?,
            }
            if queue.is_empty() { outgoing.flush().await } else { Ok(()) }
        });
        let written = tokio::select! {
            written = &mut write => written,
            end = running.must_end() => {
                // Only its other half can follow half a frame.
                let written = within(limits::FAREWELL_DEADLINE, "room for a frame", write).await;
                return written.map_or_else(DownloadEnd::Wire, |()| DownloadEnd::MustEnd(end));
            }
        };
        match (written, failed) {
            (Err(error), _) => return DownloadEnd::Wire(error),
            (Ok(()), Some(code)) => return DownloadEnd::Failed(code),
            (Ok(()), None) if !owed.sent(begun.elapsed(), taken, chunk_ends) => {
                return DownloadEnd::MustEnd(EarlyEnd::ReceiverSlow);
            }
            (Ok(()), None) => {
                last_sent = Instant::now();
                if chunk_ends && owed.chunks() == 0 {
                    running.idles();
                }
            }
        }
    }
}

/// Waits until so many bytes may be sent. The receiver has everything that was sent before, and hears that this source is
/// alive.
async fn pass<S: AsyncWrite>(
    outgoing: &mut Outgoing<'_, S>,
    running: &Running<'_>,
    bytes: u64,
    last_sent: &mut Instant,
) -> Result<(), DownloadEnd> {
    if !running.meter().is_limited() {
        return Ok(());
    }
    let mut passing = std::pin::pin!(running.meter().pass(bytes));
    let mut is_flushed = false;
    loop {
        tokio::select! {
            biased;
            () = &mut passing => return Ok(()),
            end = running.must_end() => return Err(DownloadEnd::MustEnd(end)),
            flushed = outgoing.flush(), if !is_flushed => {
                flushed.map_err(DownloadEnd::Wire)?;
                is_flushed = true;
            }
            () = sleep_until(*last_sent + limits::KEEP_ALIVE_INTERVAL) => {
                *last_sent = Instant::now();
                outgoing.message(&ChunkMessage::KeepAlive).await.map_err(DownloadEnd::Wire)?;
                is_flushed = false;
            }
        }
    }
}

/// Why the reader stops.
enum Stop {
    /// The socket's side has ended.
    Gone,
    Refused(Refusal),
}

/// The reader's thread.
struct Reader<C> {
    chunks: C,
    items: mpsc::Sender<Item>,
    buffers: Arc<Buffers>,
}

impl<C: ServedChunks> Reader<C> {
    fn run(mut self, mut requests: mpsc::Receiver<ChunkRequest>) {
        while let Some(request) = requests.blocking_recv() {
            match self.answer(request) {
                Ok(()) => {}
                Err(Stop::Gone) => return,
                Err(Stop::Refused(refusal)) => {
                    tracing::info!("a download ended: {}", refusal.message);
                    // If the socket's side has ended, no one is left to tell.
                    let _ = self.push(Item::Control(ChunkMessage::Failed(refusal)));
                    return;
                }
            }
        }
    }

    fn push(&self, item: Item) -> Result<(), Stop> {
        self.items.blocking_send(item).map_err(|_| Stop::Gone)
    }

    fn answer(&mut self, request: ChunkRequest) -> Result<(), Stop> {
        let file = check(request, self.chunks.files()).map_err(Stop::Refused)?;
        let checksum = self.read(file, request)?;
        self.push(Item::Control(ChunkMessage::End { checksum }))
    }

    /// Pushes the bytes of a chunk and returns their checksum, if the file was the announced one throughout.
    fn read(&mut self, file: usize, request: ChunkRequest) -> Result<Checksum, Stop> {
        self.chunks.check_unchanged(file).map_err(Stop::Refused)?;
        let mut hasher = ChecksumHasher::default();
        let (mut offset, end) = (request.offset, request.offset + request.length);
        while offset < end {
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(limits::DATA_CHUNK_BYTES);
            let mut buffer = self.buffers.take();
            // Only the first use of a buffer clears it.
            buffer.resize(limits::DATA_CHUNK_BYTES, 0);
            let read = self.chunks.read_at(file, offset, &mut buffer[..length]).map_err(Stop::Refused)?;
            if read == 0 {
                return Err(Stop::Refused(changed(&self.chunks.files()[file].file)));
            }
            hasher.update(&buffer[..read]);
            offset += read as u64;
            self.push(Item::Data { buffer, length: read })?;
        }
        self.chunks.check_unchanged(file).map_err(Stop::Refused)?;
        Ok(hasher.finish())
    }
}

/// The place of a request's file in the list, if the request is allowed. Pure.
fn check(request: ChunkRequest, files: &[DownloadFile]) -> Result<usize, Refusal> {
    let refuse = |message: String| Err(Refusal::new(RefusalCode::BadRequest, &message));
    let place = usize::try_from(request.file).unwrap_or(usize::MAX);
    let Some(served) = files.get(place) else {
        return refuse(format!("it has {} files, but no file number {}", files.len(), request.file));
    };
    if request.length == 0 || request.length > limits::CHUNK_BYTES {
        return refuse(format!("a chunk of {} bytes", request.length));
    }
    match request.offset.checked_add(request.length) {
        Some(end) if end <= served.file.size => Ok(place),
        _ => refuse(format!(
            "{} bytes at {} of a file of {}",
            request.length, request.offset, served.file.size
        )),
    }
}

#[cfg(test)]
mod tests;
