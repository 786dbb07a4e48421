//! What a transfer asks for chunks. A peer is one kind; whatever else can send bytes of a file that is known will be
//! another, and the transfer need not know.

use std::sync::atomic::AtomicU64;

use lanspread_proto::WireError;
use lanspread_proto::chunk::Buffers;
use lanspread_proto::message::RefusalCode;
use lanspread_store::state::chunks::Chunk;
use lanspread_types::content::RootFile;
use lanspread_types::fault::{ContentError, LocalError};
use lanspread_types::ids::{GameId, GameVersion};
use tokio::sync::mpsc;

use crate::receive::chunk_writer::ChunkWrite;
use crate::trust::select::PeerOffer;

/// Which files chunks are wanted of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) game: &'a GameId,
    pub(crate) version: &'a GameVersion,
    /// In this machine's order, which numbers them.
    pub(crate) files: &'a [RootFile],
}

/// How a source is reached.
pub(crate) trait OpenSource: Send + Sync + 'static {
    type Source: ChunkSource;

    /// Opens a source that has exactly these files.
    fn open(
        &self,
        source: &PeerOffer,
        wanted: Wanted<'_>,
    ) -> impl Future<Output = Result<Self::Source, WireError>> + Send;
}

/// An open source of the chunks of one game.
pub(crate) trait ChunkSource: Send + 'static {
    /// Per wanted file, a number that changes when the file does: chunks of two fingerprints never go together.
    fn fingerprints(&self) -> &[u64];

    /// Fetches chunks as they are ordered and passes them on, until no more orders can come and everything asked for is
    /// here. Counts bytes in `arrived_bytes` as they arrive.
    ///
    /// # Errors
    /// [`FetchError::WriterStopped`] when `writes` takes no more.
    fn fetch(
        &mut self,
        orders: &mut mpsc::Receiver<Chunk>,
        writes: mpsc::Sender<ChunkWrite>,
        buffers: &Buffers,
        arrived_bytes: &AtomicU64,
    ) -> impl Future<Output = Result<(), FetchError>> + Send;
}

/// Why a source ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The connection, the protocol, or the source's own refusal.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// What it sent is not what it said it is.
    #[error(transparent)]
    Content(ContentError),
    /// This machine's disk: no other source can help.
    #[error(transparent)]
    Local(LocalError),
    /// The writer ended abnormally; replaced by its own error where that is known.
    #[error("the writer stopped")]
    WriterStopped,
}

impl FetchError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Wire(error) => error.code(),
            Self::Content(error) => error.code(),
            Self::Local(error) => error.code(),
            Self::WriterStopped => "internal",
        }
    }

    /// Whether the same source may do better next time. Pure.
    pub(crate) fn may_pass(&self) -> bool {
        use RefusalCode::{Busy, Changed, Internal, Stopping};
        match self {
            Self::Wire(
                WireError::Connect(_) | WireError::Io(_) | WireError::Closed | WireError::Timeout { .. },
            ) => true,
            Self::Wire(WireError::Refused(refusal)) => {
                matches!(refusal.code, Busy | Changed | Internal | Stopping)
            }
            _ => false,
        }
    }
}
