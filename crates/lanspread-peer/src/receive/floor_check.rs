//! Decides when a source is too slow to be waited for while another one is there. Pure: the clock is an input.
//!
//! A source is measured in spans of [`limits::SLOW_SOURCE_SPAN`], one after the other. Time in which its data waited for
//! the disk of this machine does not count. Whether a slow source is left is decided elsewhere: if it is the only one,
//! it may continue.

use std::time::Duration;

use lanspread_types::limits;
use tokio::time::Instant;

/// The measurement of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FloorCheck {
    begun: Instant,
    /// What had arrived, and how long it had waited for the disk, when the span began.
    bytes: u64,
    waited: Duration,
}

/// How fast a source was in a span that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speed {
    Enough,
    TooSlow,
}

impl FloorCheck {
    /// Begins a span. `bytes` and `waited` are sums since any moment, and never become smaller.
    pub(crate) fn new(now: Instant, bytes: u64, waited: Duration) -> Self {
        Self { begun: now, bytes, waited }
    }

    /// When the span is over, unless data waits for the disk in the meantime.
    pub(crate) fn ends(&self, waited: Duration) -> Instant {
        self.begun + waited.saturating_sub(self.waited) + limits::SLOW_SOURCE_SPAN
    }

    /// The speed in the span, if it is over; then the next span begins.
    pub(crate) fn judge(&mut self, now: Instant, bytes: u64, waited: Duration) -> Option<Speed> {
        if now < self.ends(waited) {
            return None;
        }
        let arrived = bytes.saturating_sub(self.bytes);
        *self = Self::new(now, bytes, waited);
        Some(if arrived < limits::SLOW_SOURCE_BYTES { Speed::TooSlow } else { Speed::Enough })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = limits::SLOW_SOURCE_SPAN;
    const FLOOR: u64 = limits::SLOW_SOURCE_BYTES;
    const NONE: Duration = Duration::ZERO;

    #[test]
    fn a_source_below_the_floor_is_too_slow_once_the_span_is_over() {
        let begun = Instant::now();
        let mut check = FloorCheck::new(begun, 10, NONE);
        let just_before = begun + SPAN - Duration::from_millis(1);
        assert_eq!(check.judge(just_before, 10, NONE), None, "the span is not over");
        assert_eq!(check.judge(begun + SPAN, 10 + FLOOR - 1, NONE), Some(Speed::TooSlow));
    }

    #[test]
    fn each_span_counts_for_itself() {
        let begun = Instant::now();
        let mut check = FloorCheck::new(begun, 0, NONE);
        assert_eq!(check.judge(begun + SPAN, FLOOR, NONE), Some(Speed::Enough));
        assert_eq!(check.judge(begun + SPAN, FLOOR, NONE), None, "a new span has begun");
        // What was sent in the first span does not help in the second one.
        assert_eq!(check.judge(begun + 2 * SPAN, FLOOR + 7, NONE), Some(Speed::TooSlow));
    }

    #[test]
    fn waiting_for_the_disk_is_not_the_source_s_time() {
        let begun = Instant::now();
        let mut check = FloorCheck::new(begun, 0, SPAN);
        let waited = SPAN + SPAN / 2;
        assert_eq!(check.ends(waited), begun + SPAN + SPAN / 2);
        assert_eq!(check.judge(begun + SPAN, 0, waited), None, "half of the span was spent waiting");
        assert_eq!(check.judge(begun + SPAN + SPAN / 2, 0, waited), Some(Speed::TooSlow));
        // What was waited before the second span began does not make it longer.
        assert_eq!(check.ends(waited), begun + 2 * SPAN + SPAN / 2);
    }
}
