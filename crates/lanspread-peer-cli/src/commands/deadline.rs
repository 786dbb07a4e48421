//! The time that a command has for its operations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lanspread_peer::CancellationToken;

use crate::arguments::WaitTime;
use crate::exit::{Failure, TIMED_OUT};

/// When a command gives up, if it does.
#[derive(Debug)]
pub(super) struct Deadline {
    time: Option<Duration>,
    has_passed: AtomicBool,
}

impl Deadline {
    pub(super) fn new(time: Option<WaitTime>) -> Self {
        let time = time.map(|WaitTime(time_ms)| Duration::from_millis(time_ms));
        Self { time, has_passed: AtomicBool::new(false) }
    }

    /// Does the work. After the time it is cancelled, as by Ctrl-C, and its end is waited for.
    pub(super) async fn cancels<T>(&self, cancel: &CancellationToken, work: impl Future<Output = T>) -> T {
        let Some(time) = self.time else { return work.await };
        let mut work = std::pin::pin!(work);
        tokio::select! {
            done = &mut work => done,
            () = tokio::time::sleep(time) => {
                self.has_passed.store(true, Ordering::Relaxed);
                cancel.cancel();
                work.await
            }
        }
    }

    /// The same failure, which says that the time has passed if that is why.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        let (Some(time), true) = (self.time, self.has_passed.load(Ordering::Relaxed)) else { return failure };
        if !failure.is_interruption() {
            return failure;
        }
        let end =
            if failure.message == "cancelled" { String::new() } else { format!(": {}", failure.message) };
        let message = format!("not done within {}{end}", humantime::format_duration(time));
        Failure { code: "timed-out".into(), message, hint: None, status: TIMED_OUT, ..failure }
    }
}

#[cfg(test)]
mod tests {
    use lanspread_peer::ErrorCategory;

    use super::*;

    fn interrupted(message: &str) -> Failure {
        Failure::new("cancelled", None, message.to_owned(), ErrorCategory::Interrupted)
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_deadline_cancels_has_timed_out_and_nothing_else_has() {
        let cancel = CancellationToken::new();
        let deadline = Deadline::new(Some(WaitTime(90_000)));
        let done = deadline.cancels(&cancel, async { "done" }).await;
        assert_eq!((done, cancel.is_cancelled()), ("done", false));
        assert_eq!(&*deadline.explain(interrupted("cancelled")).code, "cancelled", "by the user");
        deadline.cancels(&cancel, cancel.cancelled()).await;
        let failure = deadline.explain(interrupted("cancelled"));
        assert_eq!((&*failure.code, failure.status), ("timed-out", 124));
        assert_eq!(failure.message, "not done within 1m 30s");
        let left = deadline.explain(interrupted("left install a"));
        assert_eq!(left.message, "not done within 1m 30s: left install a");
        let other = Failure::new("disk-full", None, "full".to_owned(), ErrorCategory::Local);
        assert_eq!(&*deadline.explain(other).code, "disk-full");
    }
}
