//! How often a peer may repeat a word that costs it nothing. Pure: the time is given.

use std::time::Duration;

use lanspread_types::limits;
use tokio::time::Instant;

use crate::error::WireError;

/// Counts how often something was said.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    begun: Option<Instant>,
    said: u32,
}

impl Pace {
    /// It was said at this moment. Returns whether that was no more often than once in each interval, on average.
    pub(crate) fn keeps(&mut self, interval_min: Duration, now: Instant) -> bool {
        let begun = *self.begun.get_or_insert(now);
        self.said = self.said.saturating_add(1);
        let due = now.duration_since(begun).as_millis() / interval_min.as_millis();
        u128::from(self.said) <= due + u128::from(limits::WORDS_BURST)
    }
}

/// How often an upstream has said that it is alive. A word costs its follower more than itself.
#[derive(Debug, Default)]
pub struct AlivePace(Pace);

impl AlivePace {
    /// The upstream has said it at this moment.
    ///
    /// # Errors
    /// If it has said it much more often than it should have.
    pub fn said(&mut self, now: Instant) -> Result<(), WireError> {
        if self.0.keeps(limits::PACKED_ALIVE_INTERVAL_MIN, now) {
            return Ok(());
        }
        Err(WireError::Unexpected { expected: "a chunk, or a later sign of life", got: "alive" })
    }
}
