//! Sends the root files of one game as they are, chunk by chunk: a reader on a blocking thread, bounded channels, the
//! socket.
//!
//! Each file is announced with a fingerprint. The source reports a chunk as whole only if the file had this fingerprint
//! before and after it was read. A request can name only files of the announced list.
//!
//! Shutdown promise, as for streams: however a download ends, the reader is unblocked and joined before [`serve`]
//! returns, so no thread, open file or count outlives it.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use lanspread_proto::WireError;
use lanspread_proto::chunk::{Buffers, ChunkMessage, ChunkRequest, Incoming, Outgoing};
use lanspread_proto::connection::Connection;
use lanspread_proto::error::within;
use lanspread_proto::message::{DownloadFile, Refusal, RefusalCode, Reply};
use lanspread_store::state::game_state::GameState;
use lanspread_types::checksum::{Checksum, ChecksumHasher};
use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Source;
use super::stream::StreamEnd;
use crate::source::parts::{FILES_PER_MESSAGE, in_parts};
use crate::task::Tasks;

/// A file of which the receiver may ask for chunks, as it was when the download began.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ServedFile {
    path: PathBuf,
    announced: DownloadFile,
}

/// Serves one download to its end, refusals included.
pub(super) async fn serve<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    connection: &mut Connection<S>,
    game: GameId,
    version: GameVersion,
    stop: &CancellationToken,
) -> Result<(), WireError> {
    let admitted = match source.admit(game, version, survey).await {
        Ok(admitted) => admitted,
        Err(refusal) => return connection.send(&Reply::Refused(refusal)).await,
    };
    let announced: Vec<DownloadFile> = admitted.what.iter().map(|file| file.announced.clone()).collect();
    for part in in_parts(&announced, FILES_PER_MESSAGE, |files, more| Reply::DownloadReady {
        files: files.to_vec(),
        more,
    }) {
        connection.send(&part).await?;
    }
    let to = connection.theirs.clone();
    admitted.run(to, stop, async |files, stop| send(connection, files, &source.tasks, stop).await).await;
    Ok(())
}

/// Takes the fingerprint of every root file.
fn survey(state: &GameState) -> Result<Vec<ServedFile>, Refusal> {
    let mut files = Vec::with_capacity(state.root_files.len());
    for file in &state.root_files {
        let path = state.root.join(&file.name);
        let (_, metadata) = open(&path)?;
        if metadata.len() != file.size {
            return Err(changed(file));
        }
        let announced = DownloadFile { file: file.clone(), fingerprint: fingerprint(&metadata) };
        files.push(ServedFile { path, announced });
    }
    Ok(files)
}

/// Opens a regular file, without blocking if something else has taken its name meanwhile, for example a pipe.
fn open(path: &Path) -> Result<(File, Metadata), Refusal> {
    let failed = |error| {
        tracing::warn!("{} cannot be served: {error}", path.display());
        Refusal::new(RefusalCode::Internal, "it cannot read one of its files")
    };
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        tracing::warn!("{} cannot be served: it is not a regular file", path.display());
        return Err(Refusal::new(RefusalCode::Changed, "one of its files is no longer a regular file"));
    }
    Ok((file, metadata))
}

/// Identifies a file and its last change in one number, the same in every run of the program.
fn fingerprint(metadata: &Metadata) -> u64 {
    let mut hash = Sha256::new();
    for part in [metadata.dev(), metadata.ino(), metadata.size()] {
        hash.update(part.to_be_bytes());
    }
    for part in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        hash.update(part.to_be_bytes());
    }
    hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn changed(file: &RootFile) -> Refusal {
    Refusal::new(RefusalCode::Changed, &format!("its {} has changed", file.name))
}

/// What the reader hands to the socket.
enum Item {
    Data { buffer: BytesMut, length: usize },
    Control(ChunkMessage),
}

/// How the socket's side of a download ended.
enum End {
    /// The receiver closed the connection, and no chunk was owed.
    Complete,
    ReceiverGone,
    Stopping,
    /// The reader failed, and the receiver knows why.
    Failed(RefusalCode),
    Wire(WireError),
}

async fn send<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    files: Vec<ServedFile>,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> StreamEnd {
    let (requests, wanted) = mpsc::channel(limits::CHUNK_REQUESTS_MAX);
    let (items, mut queue) = mpsc::channel(limits::CHUNK_QUEUE_ITEMS);
    let buffers = Arc::new(Buffers::default());
    let reader = Reader { files, open: None, items, buffers: Arc::clone(&buffers) };
    let reading = tasks.spawn_blocking("chunk-reader", move || reader.run(wanted));

    let unanswered = AtomicU64::new(0);
    let mut bytes = 0;
    let name = connection.theirs.name.clone();
    let (mut incoming, mut outgoing) = connection.halves();
    let end = tokio::select! {
        end = take_requests(&mut incoming, requests, &unanswered) => end,
        end = send_items(&mut outgoing, &mut queue, &buffers, stop, &unanswered, &mut bytes) => end,
    };
    drop(queue);
    if let Err(error) = reading.await {
        tracing::error!("the reader of a download ended abnormally: {error}");
    }
    let outcome = match end {
        End::Complete => "complete",
        End::ReceiverGone => "receiver-gone",
        End::Failed(code) => code.as_str(),
        End::Wire(error) => {
            tracing::info!("the download of {name} ended: {error}");
            error.code()
        }
        End::Stopping => {
            let refusal = Refusal::new(RefusalCode::Stopping, "the source is stopping");
            let telling = async {
                outgoing.message(&ChunkMessage::Failed(refusal)).await?;
                outgoing.flush().await
            };
            if !matches!(timeout(limits::FAREWELL_DEADLINE, telling).await, Ok(Ok(()))) {
                tracing::debug!("cannot tell {name} that this source is stopping");
            }
            RefusalCode::Stopping.as_str()
        }
    };
    StreamEnd { outcome, bytes }
}

/// Moves requests from the socket to the reader until the receiver closes or breaks the protocol.
async fn take_requests<S: AsyncRead>(
    incoming: &mut Incoming<'_, S>,
    requests: mpsc::Sender<ChunkRequest>,
    unanswered: &AtomicU64,
) -> End {
    loop {
        match timeout(limits::REQUEST_IDLE_DEADLINE, incoming.begins()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) if unanswered.load(Ordering::Relaxed) == 0 => return End::Complete,
            Ok(_) => return End::ReceiverGone,
            // A receiver need not ask while it is still waiting for chunks.
            Err(_) if unanswered.load(Ordering::Relaxed) > 0 => continue,
            Err(_) => {
                return End::Wire(WireError::Timeout {
                    what: "chunk request",
                    after: limits::REQUEST_IDLE_DEADLINE,
                });
            }
        }
        let request = match incoming.message::<ChunkRequest>("chunk request").await {
            Ok(request) => request,
            Err(error) => return End::Wire(error),
        };
        unanswered.fetch_add(1, Ordering::Relaxed);
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
    stop: &CancellationToken,
    unanswered: &AtomicU64,
    bytes: &mut u64,
) -> End {
    let mut last_sent = Instant::now();
    loop {
        let item = tokio::select! {
            item = queue.recv() => match item {
                Some(item) => item,
                None => return End::Failed(RefusalCode::Internal),
            },
            () = stop.cancelled() => return End::Stopping,
            () = sleep_until(last_sent + limits::KEEP_ALIVE_INTERVAL) => {
                last_sent = Instant::now();
                if unanswered.load(Ordering::Relaxed) == 0 {
                    continue;
                }
                Item::Control(ChunkMessage::KeepAlive)
            }
        };
        let mut failed = None;
        match &item {
            Item::Data { length, .. } => *bytes += *length as u64,
            Item::Control(ChunkMessage::End { .. }) => {
                unanswered.fetch_sub(1, Ordering::Relaxed);
            }
            Item::Control(ChunkMessage::Failed(refusal)) => failed = Some(refusal.code),
            Item::Control(ChunkMessage::KeepAlive) => {}
        }
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
            () = stop.cancelled() => {
                // Only its other half can follow half a frame.
                let written = within(limits::FAREWELL_DEADLINE, "room for a frame", write).await;
                return written.map_or_else(End::Wire, |()| End::Stopping);
            }
        };
        match (written, failed) {
            (Err(error), _) => return End::Wire(error),
            (Ok(()), Some(code)) => return End::Failed(code),
            (Ok(()), None) => last_sent = Instant::now(),
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
struct Reader {
    files: Vec<ServedFile>,
    /// The file that was read last: most requests are for the same one.
    open: Option<(u32, File)>,
    items: mpsc::Sender<Item>,
    buffers: Arc<Buffers>,
}

impl Reader {
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
        let served = check(request, &self.files).map_err(Stop::Refused)?.clone();
        let file = match self.open.take() {
            Some((number, file)) if number == request.file => file,
            _ => open(&served.path).map_err(Stop::Refused)?.0,
        };
        let checksum = self.read(&file, &served, request)?;
        self.open = Some((request.file, file));
        self.push(Item::Control(ChunkMessage::End { checksum }))
    }

    /// Pushes the bytes of a chunk and returns their CRC-32, if the file was the announced one throughout.
    fn read(&self, file: &File, served: &ServedFile, request: ChunkRequest) -> Result<Checksum, Stop> {
        let failed = |error| {
            tracing::warn!("{} cannot be read: {error}", served.path.display());
            Stop::Refused(Refusal::new(RefusalCode::Internal, "it cannot read one of its files"))
        };
        let check_unchanged = || {
            if fingerprint(&file.metadata().map_err(failed)?) == served.announced.fingerprint {
                return Ok(());
            }
            Err(Stop::Refused(changed(&served.announced.file)))
        };
        check_unchanged()?;
        let mut hasher = ChecksumHasher::default();
        let (mut offset, end) = (request.offset, request.offset + request.length);
        while offset < end {
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(limits::DATA_CHUNK_BYTES);
            let mut buffer = self.buffers.take();
            // Only the first use of a buffer clears it.
            buffer.resize(limits::DATA_CHUNK_BYTES, 0);
            let read = file.read_at(&mut buffer[..length], offset).map_err(failed)?;
            if read == 0 {
                return Err(Stop::Refused(changed(&served.announced.file)));
            }
            hasher.update(&buffer[..read]);
            offset += read as u64;
            self.push(Item::Data { buffer, length: read })?;
        }
        check_unchanged()?;
        Ok(hasher.finish())
    }
}

/// The file of a request, if the request is allowed. Pure.
fn check(request: ChunkRequest, files: &[ServedFile]) -> Result<&ServedFile, Refusal> {
    let refuse = |message: String| Err(Refusal::new(RefusalCode::BadRequest, &message));
    let place = usize::try_from(request.file).unwrap_or(usize::MAX);
    let Some(served) = files.get(place) else {
        return refuse(format!("it has {} files, but no file number {}", files.len(), request.file));
    };
    if request.length == 0 || request.length > limits::CHUNK_BYTES {
        return refuse(format!("a chunk of {} bytes", request.length));
    }
    match request.offset.checked_add(request.length) {
        Some(end) if end <= served.announced.file.size => Ok(served),
        _ => refuse(format!(
            "{} bytes at {} of a file of {}",
            request.length, request.offset, served.announced.file.size
        )),
    }
}

#[cfg(test)]
mod tests;
