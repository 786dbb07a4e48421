//! Every task has a name, an owner and an end.
//!
//! Tasks are spawned through [`Tasks`] only. Their owner cancels all of them with one token and then waits until the
//! last one has ended. Tasks that are left at the deadline are counted and reported. A panic in a task that serves one
//! connection or one request ends that task only; in any other task it breaks the owner, who then stops. This
//! room does not know what the tasks do.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use lanspread_types::limits;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub(crate) mod contained;

/// A future of which only its result is known. If a function returns one and is not `async` itself, all that it awaits is
/// compiled once. The body of an `async` function is compiled again in each crate and test program that polls it.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The tasks of one owner.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    cancel: CancellationToken,
    broken: CancellationToken,
    /// [`limits::THREAD_START_DEADLINE`], unless a test cannot wait that long.
    thread_start_deadline: Duration,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
            broken: CancellationToken::new(),
            thread_start_deadline: limits::THREAD_START_DEADLINE,
        }
    }
}

/// Breaks the owner if it is dropped by a panic.
struct BreaksOwner(CancellationToken);

impl Drop for BreaksOwner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

/// The end of blocking work. Dropping it does not end the work.
#[derive(Debug)]
pub(crate) struct Working<T> {
    end: oneshot::Receiver<T>,
    has_begun: Arc<AtomicBool>,
}

/// Why blocking work has no result.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoResult {
    #[error("it panicked")]
    Panicked,
    #[error("it could not start: this process may not have more threads")]
    NoThread,
}

impl<T> Future for Working<T> {
    type Output = Result<T, NoResult>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.end).poll(context).map_err(|_| {
            if self.has_begun.load(Ordering::Relaxed) { NoResult::Panicked } else { NoResult::NoThread }
        })
    }
}

fn take<W>(waiting: &Mutex<Option<W>>) -> Option<W> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Tasks {
    /// A token that is cancelled when the owner stops.
    pub(crate) fn cancel_token(&self) -> CancellationToken {
        self.cancel.child_token()
    }

    /// A token that is cancelled when a task has panicked without which the owner cannot go on.
    pub(crate) fn broken(&self) -> &CancellationToken {
        &self.broken
    }

    /// Runs a future under a name. The owner cannot go on without it: a panic breaks the owner.
    pub(crate) fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let breaks_owner = BreaksOwner(self.broken.clone());
        self.spawn_contained(name, async move {
            let _breaks_owner = breaks_owner;
            future.await
        })
    }

    /// Runs a future under a name that serves one connection or one request: a panic ends it alone. What it holds, it
    /// must release when it is dropped.
    pub(crate) fn spawn_contained<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // The machinery of a task is then compiled once for each kind of result, and not for each future.
        let future: Boxed<'static, F::Output> = Box::pin(future);
        self.tracker.spawn(future.instrument(tracing::debug_span!("task", name)))
    }

    /// Runs blocking work on a blocking thread under a name. If the system gives this process no thread for it within
    /// [`limits::THREAD_START_DEADLINE`], the work is dropped.
    pub(crate) fn spawn_blocking<F, T>(&self, name: &'static str, work: F) -> Working<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (ends, end) = oneshot::channel();
        let (span, token) = (tracing::debug_span!("blocking", name), self.tracker.token());
        let work = move || {
            let counted = token;
            let done = span.in_scope(work);
            // Before its end is known, so that the owner counts no work whose end a task has seen.
            drop(counted);
            // Fails if the handle is gone, which is fine.
            let _ = ends.send(done);
        };
        Working { end, has_begun: self.start_thread(name, Box::new(work)) }
    }

    /// Returns whether the work has begun or may still begin.
    fn start_thread(&self, name: &'static str, work: Box<dyn FnOnce() + Send>) -> Arc<AtomicBool> {
        let (starts, mut started) = oneshot::channel::<()>();
        // The thread takes the work out to do it, or the task below to drop it.
        let waiting = Arc::new(Mutex::new(Some(work)));
        let at_thread = Arc::clone(&waiting);
        tokio::task::spawn_blocking(move || {
            let work = take(&at_thread);
            drop(starts);
            if let Some(work) = work {
                work();
            }
        });
        let has_begun = Arc::new(AtomicBool::new(true));
        let has_thread = Arc::clone(&has_begun);
        // The runtime queues work for which it has no thread, for ever if the system refuses new ones. This task ends
        // when the work begins.
        let (deadline, asked_at) = (self.thread_start_deadline, std::time::Instant::now());
        tokio::spawn(async move {
            // Real time, because the system is waited for: a test that moves the clock of the runtime moves no thread.
            while timeout(deadline, &mut started).await.is_err() {
                if asked_at.elapsed() < deadline {
                    continue;
                }
                if let Some(unstarted) = take(&waiting) {
                    tracing::error!("no thread for {name}: the limit of threads of this process is reached");
                    has_thread.store(false, Ordering::Relaxed);
                    drop(unstarted);
                }
                return;
            }
        });
        has_begun
    }

    /// Tasks that have not ended.
    pub(crate) fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Cancels all tasks and waits for their end; returns how many are left at the deadline.
    pub(crate) async fn stop(&self, deadline: Duration) -> usize {
        self.cancel.cancel();
        self.tracker.close();
        match timeout(deadline, self.tracker.wait()).await {
            Ok(()) => 0,
            Err(_) => self.running(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_task_of_the_owner_breaks_it() {
        let tasks = Tasks::default();
        assert!(tasks.spawn("fine", async {}).await.is_ok());
        assert!(
            tasks.spawn_contained("one connection", async { panic!("as the test wants") }).await.is_err()
        );
        assert!(!tasks.broken().is_cancelled());
        assert!(tasks.spawn("listener", async { panic!("as the test wants") }).await.is_err());
        assert!(tasks.broken().is_cancelled());
        assert_eq!(tasks.stop(Duration::from_mins(1)).await, 0, "a panicked task has ended");
    }

    #[tokio::test]
    async fn a_panic_of_blocking_work_is_its_result() {
        let tasks = Tasks::default();
        assert_eq!(tasks.spawn_blocking("fine", || 7).await, Ok(7));
        let panics: fn() -> u8 = || panic!("as the test wants");
        assert_eq!(tasks.spawn_blocking("panics", panics).await, Err(NoResult::Panicked));
        assert!(!tasks.broken().is_cancelled());
        assert_eq!(tasks.stop(Duration::from_mins(1)).await, 0);
    }

    /// As if the system gave this process one thread for blocking work and no more.
    #[test]
    fn work_that_gets_no_thread_is_dropped_after_the_deadline() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let tasks = Tasks::default();
            let (release, released) = mpsc::channel::<()>();
            let (begins, begun) = oneshot::channel::<()>();
            let first = tasks.spawn_blocking("first", move || {
                drop(begins);
                released.recv().is_err()
            });
            let _ = begun.await;
            let impatient = Tasks { thread_start_deadline: Duration::ZERO, ..tasks.clone() };
            let second = impatient.spawn_blocking("second", || ());
            assert_eq!(second.await, Err(NoResult::NoThread));
            drop(release);
            assert!(first.await.unwrap(), "work that has begun is not disturbed");
            assert_eq!(tasks.stop(Duration::from_mins(1)).await, 0);
        });
    }
}
