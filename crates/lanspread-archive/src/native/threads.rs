//! How many threads a decoder gets: the one place that decides.
//!
//! Decoders that run at the same time share the cores: the first gets them all, one that begins beside it half of them,
//! and so on. A decoder keeps its threads until it ends, so that for a while there can be more threads than cores; the
//! scheduler of the system shares those. A decoder without a further thread is complete: its caller does all the work.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use lanspread_types::limits::DECODER_THREADS_MAX;

/// The cores of this machine, and the decoders that share them.
pub(crate) struct DecoderThreads {
    cores: usize,
    running: AtomicUsize,
}

/// A decoder that runs until this is dropped.
pub(super) struct RunningDecoder {
    shared: Arc<DecoderThreads>,
    /// Its threads, the caller's included; at least 1.
    pub(super) threads: usize,
}

impl DecoderThreads {
    /// The decoders of all providers of this process: they have the same cores.
    pub(crate) fn of_this_machine() -> Arc<Self> {
        static OF_THIS_MACHINE: LazyLock<Arc<DecoderThreads>> = LazyLock::new(|| {
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            Arc::new(DecoderThreads { cores, running: AtomicUsize::new(0) })
        });
        Arc::clone(&OF_THIS_MACHINE)
    }

    /// Counts a decoder that begins, and gives it its threads.
    pub(super) fn begin(self: &Arc<Self>) -> RunningDecoder {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        RunningDecoder { shared: Arc::clone(self), threads: threads(self.cores, running) }
    }
}

impl Drop for RunningDecoder {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The threads of the last of `running` decoders.
fn threads(cores: usize, running: usize) -> usize {
    (cores / running.max(1)).clamp(1, DECODER_THREADS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoders_that_run_together_share_the_cores() {
        let shared = Arc::new(DecoderThreads { cores: 4, running: AtomicUsize::new(0) });
        let first = shared.begin();
        let second = shared.begin();
        let third = shared.begin();
        assert_eq!([first.threads, second.threads, third.threads], [4, 2, 1]);
        drop((first, second, third));
        assert_eq!(shared.begin().threads, 4, "those that ended no longer count");
    }

    #[test]
    fn every_decoder_has_a_thread_and_none_has_too_many() {
        assert_eq!(threads(1, 1), 1);
        assert_eq!(threads(2, 100), 1);
        assert_eq!(threads(256, 1), DECODER_THREADS_MAX);
    }
}
