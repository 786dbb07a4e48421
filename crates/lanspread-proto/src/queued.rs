//! Waiting for a place at a source: the position in its queue, and how often the source may send it. Pure.

use lanspread_types::limits;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::WireError;
use crate::pace::Pace;

/// A position in the queue of a source. A smaller one is the better one to wait in: fewer before it, then sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePosition {
    /// How many have their turn before it.
    pub ahead: u32,
    /// In how many milliseconds its turn may come, if the source can tell.
    pub in_ms: Option<u32>,
}

impl QueuePosition {
    fn rank(self) -> (u32, u32) {
        (self.ahead, self.in_ms.unwrap_or(u32::MAX))
    }
}

impl PartialOrd for QueuePosition {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for QueuePosition {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// How often a source has said that its receiver waits. It may do so for hours, but not without end in no time.
#[derive(Debug, Default)]
pub struct QueuedPace(Pace);

impl QueuedPace {
    /// The source has said it at this moment.
    ///
    /// # Errors
    /// If it has said it much more often than it should have.
    pub fn said(&mut self, now: Instant) -> Result<(), WireError> {
        if self.0.keeps(limits::QUEUED_INTERVAL_MIN, now) {
            return Ok(());
        }
        Err(WireError::Unexpected { expected: "a turn, or a later word about it", got: "queued" })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_better_queue_is_the_one_with_fewer_ahead_and_then_the_sooner_one() {
        let at = |ahead, in_ms| QueuePosition { ahead, in_ms };
        let from_the_best = [at(0, None), at(1, Some(5)), at(1, Some(6)), at(1, None), at(2, Some(0))];
        assert!(from_the_best.is_sorted());
        assert!(at(1, None) > at(1, Some(6)));
    }

    /// A source that keeps to the interval may go on for a day, and its words may arrive late and together. One that
    /// repeats itself without pause is refused soon.
    #[tokio::test(start_paused = true)]
    async fn a_source_may_say_for_hours_that_one_waits_but_not_without_pause() {
        let (mut pace, begun) = (QueuedPace::default(), Instant::now());
        let mut now = begun;
        while now - begun < Duration::from_hours(24) {
            pace.said(now).unwrap();
            now += limits::KEEP_ALIVE_INTERVAL;
        }
        let (mut late, mut flood) = (QueuedPace::default(), QueuedPace::default());
        late.said(begun).unwrap();
        assert!((0..5).all(|_| late.said(begun + 5 * limits::KEEP_ALIVE_INTERVAL).is_ok()));
        let refused = (0..100).find(|_| flood.said(begun).is_err());
        assert_eq!(refused, Some(limits::WORDS_BURST));
    }
}
