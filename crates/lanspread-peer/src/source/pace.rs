//! Whether a receiver takes enough to keep its place. Pure.
//!
//! Only time counts in which the source waited for the receiver, so a slow decoder or a slow disk of the source is
//! never held against it.

use std::time::Duration;

use lanspread_types::limits::{RECEIVER_WINDOW, RECEIVER_WINDOW_BYTES_MIN};

/// What one receiver took in the window that runs.
#[derive(Debug, Default)]
pub(super) struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Notes that the source waited so long for the receiver, which then had taken so many bytes more. Returns whether
    /// the receiver keeps up.
    pub(super) fn keeps_up(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < RECEIVER_WINDOW {
            return true;
        }
        let enough = self.bytes >= RECEIVER_WINDOW_BYTES_MIN;
        *self = Self::default();
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many seconds a receiver with this rate is kept, up to an hour.
    fn kept(bytes_per_second: u64) -> u64 {
        let mut pace = Pace::default();
        (1..3600).find(|_| !pace.keeps_up(SECOND, bytes_per_second)).unwrap_or(3600)
    }

    #[test]
    fn a_receiver_below_the_floor_is_noticed_after_one_window() {
        let floor = RECEIVER_WINDOW_BYTES_MIN.div_ceil(RECEIVER_WINDOW.as_secs());
        for (rate, seconds) in [(0, 60), (1, 60), (floor - 1, 60), (floor, 3600), (u64::MAX, 3600)] {
            assert_eq!(kept(rate), seconds, "{rate} bytes/s");
        }
    }

    #[test]
    fn a_fast_start_buys_no_second_window() {
        let mut pace = Pace::default();
        assert!(pace.keeps_up(RECEIVER_WINDOW, 1 << 40));
        assert!(!pace.keeps_up(RECEIVER_WINDOW, 1));
    }

    #[test]
    fn time_without_waiting_for_the_receiver_does_not_count() {
        let mut pace = Pace::default();
        assert!((0..1_000_000).all(|_| pace.keeps_up(Duration::ZERO, 0)));
    }
}
