//! Where this peer says which catalog it has, and hears of newer ones of the same signer. What a hello says is a hint: the
//! catalog itself is fetched and checked elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_proto::message::{CatalogMark, Hello};
use lanspread_types::ids::{PeerId, PeerName};
use tokio::sync::mpsc;

use crate::trust::live_catalog::LiveCatalog;

/// A peer that says it has a newer catalog.
#[derive(Debug, Clone)]
pub(crate) struct OfferedCatalog {
    pub(crate) mark: CatalogMark,
    pub(crate) peer: PeerId,
    pub(crate) name: PeerName,
    /// Where it can be asked.
    pub(crate) address: SocketAddr,
}

/// The catalog of this peer, and where news of others go.
#[derive(Debug, Clone, Default)]
pub(crate) struct CatalogNews {
    live: Option<Arc<LiveCatalog>>,
    /// None unless catalogs from peers are wanted.
    offers: Option<mpsc::Sender<OfferedCatalog>>,
}

impl CatalogNews {
    pub(crate) fn new(live: Option<Arc<LiveCatalog>>, offers: Option<mpsc::Sender<OfferedCatalog>>) -> Self {
        Self { live, offers }
    }

    /// What this peer says of its catalog now.
    pub(crate) fn mark(&self) -> Option<CatalogMark> {
        self.live.as_ref()?.mark()
    }

    /// Takes note of what a peer said of its catalog. If too much is heard at once, it is heard again later.
    pub(crate) fn heard(&self, peer: PeerId, theirs: &Hello, address: SocketAddr) {
        let (Some(live), Some(offers)) = (&self.live, &self.offers) else { return };
        if let Some(mark) = theirs.catalog.filter(|mark| is_newer(live, mark)) {
            let name = theirs.name.clone();
            let _ = offers.try_send(OfferedCatalog { mark, peer, name, address });
        }
    }
}

/// Whether a mark names a higher version of the pinned signer.
pub(crate) fn is_newer(live: &LiveCatalog, mark: &CatalogMark) -> bool {
    let is_of_signer = live.pinned().is_some_and(|pinned| *pinned.signer.bytes() == mark.signer);
    is_of_signer && live.mark().is_none_or(|ours| mark.version > ours.version)
}
