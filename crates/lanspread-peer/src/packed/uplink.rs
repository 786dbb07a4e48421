//! The uplink of a source: receivers of packed streams wait here for their turn to be sent a chunk.
//!
//! Whose turn it is, is decided by [`UplinkOrder`]. Here is who waits, and that everything ends by dropping.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_proto::packed::PackedGame;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::packed::uplink_order::{FedId, FedWave, UplinkOrder, UplinkTurn};

/// The uplink of one source.
#[derive(Debug, Default)]
pub(crate) struct SourceUplink {
    order: Mutex<UplinkOrder>,
    /// Counts chunks that were sent and receivers that ended.
    changes: watch::Sender<u64>,
}

/// One receiver at an uplink, until it is dropped.
#[derive(Debug)]
pub(crate) struct AtUplink {
    uplink: Arc<SourceUplink>,
    id: FedId,
}

impl SourceUplink {
    fn order(&self) -> MutexGuard<'_, UplinkOrder> {
        // Each change of the order is whole.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Begins to feed a receiver of a wave from a chunk on.
    pub(crate) fn feed(self: &Arc<Self>, packed: PackedGame, wave: FedWave, at: u64) -> AtUplink {
        let id = self.order().begins(packed, wave, at, Instant::now());
        AtUplink { uplink: Arc::clone(self), id }
    }

    /// Whether another wave of a game may begin.
    pub(crate) fn may_have_room(&self, packed: &PackedGame) -> bool {
        self.order().may_have_room(packed, Instant::now())
    }
}

impl AtUplink {
    /// Waits until this receiver may be sent a chunk. After this, the chunk is on its way until [`Self::sent`].
    pub(crate) async fn turn(&self, chunk: u64) {
        let mut changes = self.uplink.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let turn = self.uplink.order().turn(self.id, chunk, Instant::now());
            match turn {
                UplinkTurn::Now => return,
                UplinkTurn::At(at) => tokio::select! {
                    biased;
                    // Cannot fail: the sender is in the uplink that is held here.
                    _ = changes.changed() => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }

    /// A chunk was sent; sending took so long.
    pub(crate) fn sent(&self, taken: Duration) {
        self.uplink.order().sent(self.id, taken, Instant::now());
        self.uplink.wake();
    }
}

impl Drop for AtUplink {
    fn drop(&mut self) {
        self.uplink.order().ends(self.id, Instant::now());
        self.uplink.wake();
    }
}
