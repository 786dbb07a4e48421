//! A packed stream into a download: receivers of one game pass its archives on to each other while they store them.

use std::sync::Arc;

use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_trust::manifest::ManifestFile;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::packed_sources::PackedSources;
use crate::peer::packed_stream::PackedRequest;
use crate::peer::prepared_download::Prepared;
use crate::peer::relaying::Relaying;
use crate::receive::chunk_writer::ChunkOrigin;
use crate::receive::error::AttemptError;
use crate::receive::packed_writer::{PackedWrite, write_packed};
use crate::receive::patience::Patience;
use crate::report::event::PeerEvent;
use crate::report::source_share::SourceShare;

/// What a wave brought of a download.
#[derive(Default)]
pub(super) struct ThroughWave {
    pub(super) shares: Vec<SourceShare>,
    /// What is still passed on.
    pub(super) relay: Option<Relaying>,
}

impl Peer {
    /// Fetches the archives of a download as a packed stream. If the stream fails, what it has brought is recorded, and the
    /// rest is left to a transfer.
    ///
    /// # Errors
    /// [`PeerError::Local`], [`PeerError::Cancelled`], [`PeerError::Internal`].
    pub(super) async fn download_through_wave(
        &self,
        operation: &OperationContext,
        prepared: &Prepared,
        from: PackedSources,
        manifest: Arc<ManifestFile>,
        patience: &Patience,
    ) -> Result<ThroughWave, PeerError> {
        let trusted = prepared.listed.as_ref().is_some_and(ListedChunks::is_trusted);
        let trusted = trusted.then(|| Arc::clone(&manifest));
        let request =
            PackedRequest { operation, version: &prepared.version, trusted: trusted.as_ref(), patience };
        let mut stream = match self.open_packed(request, from, manifest).await {
            Ok(stream) => stream,
            Err(error) => return left_to_transfer(operation, error, Vec::new()),
        };
        let (upstreams, source) = (Arc::clone(stream.upstreams()), stream.source());
        let origin = ChunkOrigin { peer: source.name.clone(), peer_id: source.id, fingerprints: Vec::new() };
        let write = PackedWrite {
            locked: prepared.locked.clone(),
            bytes: Arc::new(stream.bytes()),
            target: Arc::clone(&prepared.target),
            origin,
        };
        let bytes_total = prepared.files.iter().map(|file| file.size).sum();
        let written = |written_bytes| {
            operation.events.report(PeerEvent::DownloadProgress {
                game: operation.game.clone(),
                bytes: prepared.bytes_kept + written_bytes,
                bytes_total,
                sources: upstreams.view.tally().open(),
                // Each upstream is reported when it begins.
                source: None,
                source_id: None,
            });
        };
        let received = Box::pin(write_packed(write, stream.feed(self, request), written)).await;
        let shares = upstreams.source_shares();
        match received {
            Ok(()) => {
                let bytes_stored = upstreams.chunks.layout.bytes();
                Ok(ThroughWave { shares, relay: stream.finish(bytes_stored) })
            }
            Err(error) => {
                stream.close().await;
                left_to_transfer(operation, error, shares)
            }
        }
    }
}

/// What a stream that failed has brought, unless the operation has to end.
fn left_to_transfer(
    operation: &OperationContext,
    error: AttemptError,
    shares: Vec<SourceShare>,
) -> Result<ThroughWave, PeerError> {
    match error {
        AttemptError::Cancelled => Err(PeerError::Cancelled),
        AttemptError::Local(error) => Err(error.into()),
        AttemptError::ThreadStopped => Err(PeerError::Internal(error.to_string())),
        error => {
            tracing::warn!("{}: what is missing is fetched from its sources alone: {error}", operation.game);
            Ok(ThroughWave { shares, relay: None })
        }
    }
}
