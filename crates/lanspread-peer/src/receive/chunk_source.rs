//! The sources from which a transfer fetches chunks. A peer is one kind of source. Other kinds can be added without
//! changes to the transfer.

use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::chunk::Buffers;
use lanspread_proto::queued::QueuePosition;
use lanspread_store::state::chunks::Chunk;
use lanspread_types::content::RootFile;
use lanspread_types::fault::{ContentError, LocalError};
use lanspread_types::ids::{GameId, GameVersion};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::http::error::HttpError;
use crate::receive::arrivals::{Arrivals, QueueClosed};
use crate::receive::chunk_writer::ChunkWrite;
use crate::receive::other_bytes::OtherBytes;
use crate::receive::transfer_source::TransferSource;

/// The files whose chunks are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) game: &'a GameId,
    pub(crate) version: &'a GameVersion,
    /// In the receiver's order, which gives the files their numbers.
    pub(crate) files: &'a [RootFile],
}

/// Opens sources.
pub(crate) trait OpenSource: Send + Sync + 'static {
    type Source: ChunkSource;

    /// Opens a source that has exactly these files. If it has no place now, it waits in its queue, and `queued` hears where
    /// it stands, from time to time.
    fn open(
        &self,
        source: &TransferSource,
        wanted: Wanted<'_>,
        queued: impl FnMut(QueuePosition) + Send,
    ) -> impl Future<Output = Result<Self::Source, WireError>> + Send;

    /// Hears why a source ended before it was asked to. If something remains to be done about it, the transfer waits for
    /// that before it ends.
    fn failed(&self, _source: &TransferSource, _error: &FetchError) -> Option<JoinHandle<()>> {
        None
    }
}

/// An open source of the chunks of one game.
pub(crate) trait ChunkSource: Send + 'static {
    /// One number per wanted file, which changes when the file changes. Chunks of one source with different fingerprints are
    /// never combined, unless a manifest proves each of them.
    fn fingerprints(&self) -> &[u64];

    /// Fetches the chunks in `orders` and passes them to `writes`, until `orders` is closed and every ordered chunk has
    /// arrived. Counts bytes in `arrivals` as they arrive.
    ///
    /// # Errors
    /// [`FetchError::WriterStopped`] if the receiver of `writes` is closed.
    fn fetch(
        &mut self,
        orders: &mut mpsc::Receiver<Chunk>,
        writes: mpsc::Sender<ChunkWrite>,
        buffers: &Buffers,
        arrivals: &Arc<Arrivals>,
    ) -> impl Future<Output = Result<(), FetchError>> + Send;
}

/// Why a source ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The connection, the protocol, or the source's own refusal.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// What an HTTP server answered, or did not.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// What it sent does not match its checksum or breaks another rule.
    #[error(transparent)]
    Content(ContentError),
    /// What it sent is not what the manifest lists: it is not asked again.
    #[error(transparent)]
    OtherBytes(#[from] OtherBytes),
    /// This machine's disk failed: no other source can help, because names and sizes are those of the validated list.
    #[error(transparent)]
    Local(LocalError),
    /// The writer ended abnormally; if its own error is known, that error takes precedence.
    #[error("the writer stopped")]
    WriterStopped,
    /// The task of the source or its writer panicked. Other sources are not affected.
    #[error("internal fault: the task of this source ended abnormally")]
    Panicked,
}

impl From<QueueClosed> for FetchError {
    fn from(_: QueueClosed) -> Self {
        Self::WriterStopped
    }
}

impl FetchError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Wire(error) => error.code(),
            Self::Http(error) => error.code(),
            Self::Content(error) => error.code(),
            Self::OtherBytes(_) => "not-as-listed",
            Self::Local(error) => error.code(),
            Self::WriterStopped | Self::Panicked => "internal",
        }
    }

    /// The pause that the source asks for before another try.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether another try from the same source may succeed. Pure.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Wire(error) => error.may_pass(),
            Self::Http(error) => error.may_pass(),
            _ => false,
        }
    }
}
