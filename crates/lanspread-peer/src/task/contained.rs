//! A panic as a result: where one part of a task may fail without the rest.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// A future panicked. The panic hook has already told where and why.
#[derive(Debug, thiserror::Error)]
#[error("the task ended abnormally")]
pub(crate) struct Panicked;

/// Runs a future; if it panics, that is the result, and its caller continues.
pub(crate) async fn contained<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(move |context| {
        // A future that has panicked is never polled again, so nothing sees the state in which it was left.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_result() {
        let pending = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(contained(pending).await.unwrap(), 7);
        let panicking = async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "this panic is part of a test");
        };
        assert!(contained(panicking).await.is_err());
    }
}
