//! Every task has a name, an owner and an end.
//!
//! Tasks are spawned through [`Tasks`] only. Their owner cancels all of them with one token and then waits until the
//! last one has ended. Tasks that are left at the deadline are counted and reported. This
//! room does not know what the tasks do.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub(crate) mod contained;

/// The tasks of one owner.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Tasks {
    /// A token that is cancelled when the owner stops.
    pub(crate) fn cancel_token(&self) -> CancellationToken {
        self.cancel.child_token()
    }

    /// Runs a future under a name.
    pub(crate) fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(future.instrument(tracing::debug_span!("task", name)))
    }

    /// Runs blocking work on a blocking thread under a name.
    pub(crate) fn spawn_blocking<F, T>(&self, name: &'static str, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let span = tracing::debug_span!("blocking", name);
        self.tracker.spawn_blocking(move || span.in_scope(work))
    }

    /// Tasks that have not ended.
    pub(crate) fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Cancels all tasks and waits for their end; returns how many are left at the deadline.
    pub(crate) async fn stop(&self, deadline: Duration) -> usize {
        self.cancel.cancel();
        self.tracker.close();
        match tokio::time::timeout(deadline, self.tracker.wait()).await {
            Ok(()) => 0,
            Err(_) => self.running(),
        }
    }
}
