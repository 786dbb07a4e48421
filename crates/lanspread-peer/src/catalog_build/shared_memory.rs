//! Memory for the dictionaries of several decoders at once.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use lanspread_types::limits::PROGRESS_INTERVAL;
use tokio_util::sync::CancellationToken;

/// A bound that several threads share. What is larger than all of it gets it when it is alone.
pub(super) struct SharedMemory {
    limit: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

/// A part of it, until it is dropped.
pub(super) struct TakenMemory<'m> {
    memory: &'m SharedMemory,
    bytes: u64,
}

impl SharedMemory {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, used: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until there is so much; `None` if it was cancelled.
    pub(super) fn take(&self, bytes: u64, cancel: &CancellationToken) -> Option<TakenMemory<'_>> {
        const LOOK_AGAIN: Duration = PROGRESS_INTERVAL;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while !cancel.is_cancelled() {
            if *used == 0 || used.saturating_add(bytes) <= self.limit {
                *used = used.saturating_add(bytes);
                return Some(TakenMemory { memory: self, bytes });
            }
            let waited = self.freed.wait_timeout(used, LOOK_AGAIN);
            used = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }
}

impl Drop for TakenMemory<'_> {
    fn drop(&mut self) {
        let mut used = self.memory.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(self.bytes);
        self.memory.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_and_what_never_fits_runs_alone() {
        let (memory, cancel) = (SharedMemory::new(10), CancellationToken::new());
        let large = memory.take(11, &cancel).unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| memory.take(1, &cancel).map(|taken| taken.bytes));
            assert_eq!(*memory.used.lock().unwrap(), 11, "nothing runs beside it");
            drop(large);
            assert_eq!(other.join().unwrap(), Some(1));
        });
        let (one, two) = (memory.take(5, &cancel), memory.take(5, &cancel));
        assert!(one.is_some() && two.is_some());
        cancel.cancel();
        assert!(memory.take(1, &cancel).is_none());
    }
}
