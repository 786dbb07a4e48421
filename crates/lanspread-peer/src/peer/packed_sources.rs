//! What a packed stream is fed from: the sources that were chosen, and those that are found while it runs.

use std::sync::Arc;

use lanspread_trust::manifest::ManifestFile;

use crate::discovery::ask::LateOffers;
use crate::http::server::HttpServer;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::receive::packed_upstreams::PackedUpstreams;
use crate::trust::select::{PeerOffer, Selection, is_further};

/// What a game may be streamed from as it is packed.
pub(super) struct PackedSources {
    /// Peers that have the archives, in the order in which they are asked.
    pub(super) peers: Vec<PeerOffer>,
    pub(super) servers: Vec<Arc<HttpServer>>,
    /// What peers offer that did not answer before the choice.
    pub(super) late: LateOffers,
}

impl PackedSources {
    /// Whether they can be decoded here with a manifest: there are some, and it lists all that decoding takes.
    pub(super) fn fit(&self, manifest: &ManifestFile) -> bool {
        let archives = &manifest.manifest().archives;
        let lists_headers =
            !archives.is_empty() && archives.iter().all(|archive| !archive.headers.is_empty());
        lists_headers && (!self.peers.is_empty() || !self.servers.is_empty())
    }

    /// Whether a receiver may get a place in a wave of the archives that a manifest lists.
    pub(super) fn may_place(&self, manifest: &ManifestFile) -> bool {
        !manifest.manifest().archives.is_empty() && !self.peers.is_empty()
    }
}

/// The peers of a selection that have the archives.
pub(super) fn with_archives(selection: &Selection) -> Vec<PeerOffer> {
    selection.sources.iter().filter(|source| source.entries.is_none()).cloned().collect()
}

/// What a peer must offer to be a further source of a stream that runs.
pub(super) struct Further<'s> {
    pub(super) operation: &'s OperationContext,
    /// By which the sources were chosen.
    pub(super) trusted: Option<&'s Arc<ManifestFile>>,
    /// By which chunks are proved.
    pub(super) listed: &'s ManifestFile,
    pub(super) upstreams: &'s PackedUpstreams,
}

impl Further<'_> {
    fn add(&self, offer: &PeerOffer) {
        let agreed = self.trusted.is_none().then(|| self.listed.digest());
        if is_further(offer, self.listed.manifest(), agreed) && self.upstreams.add_source(offer) {
            tracing::info!("{} is a further source of {}", offer.name, self.operation.game);
        }
    }

    async fn add_late(&self, mut late: LateOffers) {
        while let Some(offer) = late.next().await {
            self.add(&offer);
        }
    }
}

impl Peer {
    /// Adds the sources that answer after the choice: their links may have been full when they were asked, and the first one
    /// that answered may lie. When no upstream is left, the peers are asked once more. Ends when no more can be added.
    pub(super) async fn add_further(&self, further: Further<'_>, late: LateOffers) {
        let Further { operation, trusted, upstreams, .. } = &further;
        further.add_late(late).await;
        upstreams.none_left().await;
        let OperationContext { game, options, cancel, .. } = operation;
        match self.choose_and_later(trusted.cloned(), game, options, cancel).await {
            Ok((selection, late)) => {
                selection.sources.iter().for_each(|offer| further.add(offer));
                further.add_late(late).await;
            }
            Err(error) => tracing::info!("{game}: no further source: {error}"),
        }
        upstreams.complete();
    }
}
