//! What is known of one packed stream, for people: shared by its upstreams, its relay and the status.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lanspread_proto::packed::WaveNews;
use lanspread_types::ids::PeerName;

use crate::packed::tally::Tally;
use crate::packed::wave_view::{Arrived, WaveView};

/// What is known of a stream.
#[derive(Debug)]
pub(crate) struct StreamView {
    /// Name of this receiver.
    name: PeerName,
    chunk_bytes: u64,
    tally: Mutex<Tally>,
    wave: Mutex<WaveView>,
}

impl StreamView {
    /// Of a stream with chunks of so many bytes, at a receiver of this name.
    pub(crate) fn new(name: PeerName, chunk_bytes: u64) -> Self {
        Self { name, chunk_bytes, tally: Mutex::default(), wave: Mutex::default() }
    }

    /// What the follower of this receiver hears of the wave. `arrived` is none once everything is here.
    pub(crate) fn passed_on(&self, arrived: Option<Arrived>) -> WaveNews {
        self.wave().passed_on(&self.name, self.chunk_bytes, arrived)
    }

    /// What its upstreams brought.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        // Each change of it is whole.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of its wave.
    pub(crate) fn wave(&self) -> MutexGuard<'_, WaveView> {
        // Each change of it is whole.
        self.wave.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
