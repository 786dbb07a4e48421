//! A packed stream into an install: its archives are decoded as they come, and are never on the disk.

use std::sync::Arc;

use lanspread_trust::manifest::ManifestFile;
use lanspread_types::content::Totals;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::packed_sources::PackedSources;
use crate::peer::packed_stream::PackedRequest;
use crate::peer::relaying::Relaying;
use crate::receive::error::AttemptError;
use crate::receive::packed_attempt::packed_attempt;
use crate::receive::staged_attempt::AttemptContext;
use crate::trust::select::PeerOffer;

/// A finished packed install.
pub(super) struct PackedInstalled {
    pub(super) totals: Totals,
    /// The source that gave the place.
    pub(super) source: PeerOffer,
    /// What is still passed on.
    pub(super) relay: Option<Relaying>,
}

impl Peer {
    /// Installs a game from its packed archives, which are decoded here and never stored.
    pub(super) async fn install_packed(
        &self,
        operation: &OperationContext,
        context: &AttemptContext,
        from: PackedSources,
        manifest: Arc<ManifestFile>,
    ) -> Result<PackedInstalled, AttemptError> {
        let (version, trusted) = (&context.version, context.manifest.as_ref());
        let request = PackedRequest { operation, version, trusted, patience: &context.patience };
        let mut stream = self.open_packed(request, from, Arc::clone(&manifest)).await?;
        let (source, bytes) = (stream.source().clone(), Arc::new(stream.bytes()));
        let feeding = stream.feed(self, request);
        match Box::pin(packed_attempt(context, &source, manifest, bytes, feeding)).await {
            Ok(totals) => Ok(PackedInstalled { totals, source, relay: stream.finish(0) }),
            Err(error) => {
                stream.close().await;
                Err(error)
            }
        }
    }
}
