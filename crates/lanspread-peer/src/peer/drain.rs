//! What a serving peer is told by the one who runs it: to read its settings again, and to end what runs before it stops.

use std::time::Duration;

use lanspread_types::limits;
use tokio::time::{Instant, sleep};

use crate::discovery::directory::HowKnown;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;
use crate::report::wanted_operation::Draining;

impl Peer {
    /// From now on no transfer to another peer and no operation begins. Waits until those that run have ended, at most for
    /// `limit`; then shut the peer down. Receivers that are refused hear that this peer is stopping, wait and come back.
    /// Operations that wait are done by the next daemon. Returns whether everything has ended. Cancel-safe: what has begun to
    /// drain stays so.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.inner.operations.drain();
        self.inner.source.drain();
        let until = Instant::now() + limit.min(limits::DRAIN_MAX);
        let (transfers, operations) = self.unended();
        self.inner.events.report(PeerEvent::PeerDraining(Draining {
            transfers,
            operations,
            drain_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        }));
        while self.unended() != (0, 0) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            sleep(limits::DRAIN_LOOK_INTERVAL.min(left)).await;
        }
        true
    }

    /// Reads again at once what users may have changed: the catalog, and the peers that they have saved, to which it keeps
    /// connections from now on.
    ///
    /// # Errors
    /// [`PeerError::SavedPeers`] if the saved peers cannot be read; [`PeerError::Trust`] if no catalog counts.
    pub async fn reload(&self) -> Result<(), PeerError> {
        let peer = self.clone();
        let saved = self.blocking("reload", move || {
            if let Some(catalog) = &peer.inner.catalog {
                catalog.current()?;
            }
            Ok(peer.inner.saved_peers.load()?)
        });
        for peer in saved.await? {
            self.keep(peer.address, HowKnown::Saved, peer.id);
        }
        Ok(())
    }

    /// Transfers and operations that run.
    fn unended(&self) -> (u64, u64) {
        let operations = self.running_operations().iter().filter(|info| info.running).count();
        (self.inner.source.all_transfers() as u64, operations as u64)
    }
}
