//! One source of a transfer while it is open, and while one waits for it: its connection, its check, its writer.

use std::sync::Arc;

use lanspread_archive::SinkError;
use lanspread_proto::chunk::Buffers;
use lanspread_proto::queued::QueuePosition;
use lanspread_store::state::chunks::Chunk;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::locked_game::LockedGame;
use crate::receive::arrivals::Arrivals;
use crate::receive::chunk_check::check;
use crate::receive::chunk_source::{ChunkSource, FetchError, OpenSource, Wanted};
use crate::receive::chunk_writer::{ChunkOrigin, ChunkWrite, DownloadTarget, write};
use crate::receive::patience::Patience;
use crate::receive::plan::SourceId;
use crate::receive::transfer_source::TransferSource;
use crate::report::channel::EventSender;
use crate::task::contained::contained;
use crate::task::{Tasks, Working};

/// What all tasks of one transfer share.
pub(crate) struct TransferContext<C> {
    pub(crate) game: GameId,
    pub(crate) version: GameVersion,
    pub(crate) files: Vec<RootFile>,
    /// The validated peers, and the servers after them.
    pub(crate) sources: Vec<TransferSource>,
    pub(crate) target: Arc<DownloadTarget>,
    /// What a manifest lists about these files, if there is one.
    pub(crate) listed: Option<ListedChunks>,
    /// Held by every writer, so that no other operation begins on this game while one still writes.
    pub(crate) locked: Option<LockedGame>,
    pub(crate) connect: C,
    /// How long the download waits while no source has a place.
    pub(crate) patience: Patience,
    pub(crate) events: EventSender,
    pub(crate) tasks: Tasks,
    pub(crate) cancel: CancellationToken,
}

/// What the task of a source reports.
pub(super) enum SourceNews {
    /// It has no place now.
    Queued(SourceId, QueuePosition),
    /// It is connected and agrees on the files; the chunks that it delivered from files that have changed since.
    Opened(SourceId, Vec<usize>),
    Done(SourceId, Chunk),
    /// It has ended, its writer included.
    Ended(SourceId, Result<(), FetchError>),
}

/// The task of one source.
pub(super) async fn run_session<C: OpenSource>(
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
    arrivals: &Arc<Arrivals>,
    cancel: &CancellationToken,
    news: &mpsc::Sender<SourceNews>,
) -> Result<(), FetchError> {
    let source = &context.sources[id];
    let wanted = Wanted { game: &context.game, version: &context.version, files: &context.files };
    // One that is lost is followed by the next.
    let queued = |position| drop(news.try_send(SourceNews::Queued(id, position)));
    let opening = context.connect.open(source, wanted, queued);
    let Some(opened) = cancel.run_until_cancelled(opening).await else { return Ok(()) };
    let mut chunks = opened?;

    let origin = ChunkOrigin {
        peer: source.name().clone(),
        peer_id: source.record_id(),
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
