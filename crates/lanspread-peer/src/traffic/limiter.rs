//! Who waits at a line. Whose turn it is, is decided by [`Line`]; everything ends by dropping.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lanspread_types::rate_limit::RateLimit;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::line::{Line, Pass, Turn};

/// One direction of the traffic of a peer, with its limit.
#[derive(Debug)]
pub(super) struct Limiter<U: Copy + Ord> {
    /// Bytes per second, or 0: what is looked at while nothing is limited.
    rate: AtomicU64,
    line: Mutex<Line<U>>,
    /// Counts new limits, and pieces that left the line before they had passed.
    changes: watch::Sender<u64>,
}

impl<U: Copy + Ord> Default for Limiter<U> {
    fn default() -> Self {
        Self { rate: AtomicU64::new(0), line: Mutex::default(), changes: watch::Sender::default() }
    }
}

/// A piece at the line, until it is dropped.
struct AtLine<'l, U: Copy + Ord> {
    limiter: &'l Limiter<U>,
    turn: Turn,
}

impl<U: Copy + Ord> Limiter<U> {
    fn line(&self) -> MutexGuard<'_, Line<U>> {
        // Each change of the line is whole.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    pub(super) fn is_set(&self) -> bool {
        self.rate.load(Ordering::Relaxed) != 0
    }

    pub(super) fn limit(&self) -> RateLimit {
        let bytes = self.rate.load(Ordering::Relaxed);
        // Nothing but a limit or 0 is stored.
        RateLimit::of_bytes_per_second(bytes).unwrap_or(RateLimit::NONE)
    }

    pub(super) fn set(&self, limit: RateLimit) {
        let rate = limit.bytes_per_second();
        {
            let mut line = self.line();
            line.set_rate(rate);
            // Below the lock, so that two calls at once cannot leave one number here and another one there.
            self.rate.store(rate.map_or(0, NonZeroU64::get), Ordering::Relaxed);
        }
        self.wake();
    }

    /// Waits until a piece has passed.
    pub(super) async fn pass(&self, user: U, bytes: u64) {
        let turn = self.line().comes(user, bytes, Instant::now());
        let waiting = AtLine { limiter: self, turn };
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let pass = self.line().pass(waiting.turn, Instant::now());
            match pass {
                Pass::Now => return,
                Pass::NotBefore(at) => tokio::select! {
                    biased;
                    // Cannot fail: the sender is in the limiter that is held here.
                    _ = changes.changed() => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }
}

#[cfg(test)]
impl<U: Copy + Ord> Limiter<U> {
    /// Lets another user have the line for so many bytes.
    pub(super) fn occupy(&self, user: U, bytes: u64) {
        self.line().comes(user, bytes, Instant::now());
    }

    /// Pieces of which the line knows.
    pub(super) fn known(&self) -> usize {
        self.line().known()
    }
}

impl<U: Copy + Ord> Drop for AtLine<'_, U> {
    fn drop(&mut self) {
        // The others look again when the next piece passes, unless that is another one now.
        if self.limiter.line().leaves(self.turn) {
            self.limiter.wake();
        }
    }
}
