//! What has arrived from one source of a download, and how long it waited for this machine: its disk, or its limit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use crate::http::upstream::HearArrivals;
use crate::receive::chunk_writer::ChunkWrite;
use crate::traffic::Meter;

/// Counted by the task of the source, read by the transfer.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    bytes: AtomicU64,
    wait: Mutex<Wait>,
}

#[derive(Debug, Default)]
struct Wait {
    ended: Duration,
    since: Option<Instant>,
    /// What waits now: the requests of a server wait at the same time.
    waiting: u32,
}

/// The writer has ended.
#[derive(Debug)]
pub(crate) struct QueueClosed;

impl Arrivals {
    /// Counts bytes that have arrived.
    pub(crate) fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that have arrived in all sessions of the source.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How long data has waited for room in the queue of the writer, the current wait included.
    pub(crate) fn waited(&self, now: Instant) -> Duration {
        let wait = self.wait();
        wait.ended + wait.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Passes a write to the writer, and measures how long there is no room for it.
    ///
    /// # Errors
    /// If the writer has ended.
    pub(crate) async fn deliver(
        &self,
        writes: &mpsc::Sender<ChunkWrite>,
        write: ChunkWrite,
    ) -> Result<(), QueueClosed> {
        let write = match writes.try_send(write) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(QueueClosed),
            Err(TrySendError::Full(write)) => write,
        };
        // Also ends the wait if the future is dropped.
        let _waiting = Waiting::begin(self);
        writes.send(write).await.map_err(|_| QueueClosed)
    }

    /// Counts bytes that have come, and waits until the limit of this peer lets the next ones come. That is not the source's
    /// time.
    pub(crate) async fn pass(&self, meter: &Meter, bytes: u64) {
        meter.count(bytes);
        if meter.is_limited() {
            let _waiting = Waiting::begin(self);
            meter.pass(bytes).await;
        }
    }

    fn wait(&self) -> MutexGuard<'_, Wait> {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HearArrivals for Arrivals {
    fn count(&self, bytes: u64) {
        Self::count(self, bytes);
    }

    fn waits(&self, begins: bool) {
        let mut wait = self.wait();
        if begins {
            wait.waiting += 1;
            wait.since.get_or_insert_with(Instant::now);
            return;
        }
        wait.waiting = wait.waiting.saturating_sub(1);
        if wait.waiting == 0
            && let Some(since) = wait.since.take()
        {
            wait.ended += since.elapsed();
        }
    }
}

struct Waiting<'a>(&'a Arrivals);

impl<'a> Waiting<'a> {
    fn begin(arrivals: &'a Arrivals) -> Self {
        arrivals.waits(true);
        Self(arrivals)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waits(false);
    }
}

#[cfg(test)]
mod tests {
    use lanspread_store::state::chunks::Chunks;
    use lanspread_types::checksum::Checksum;
    use lanspread_types::content::RootFile;

    use super::*;
    use crate::traffic::{Traffic, TrafficKind};

    fn write() -> ChunkWrite {
        let chunk = Chunks::of(&[RootFile { name: "a.eti".to_owned(), size: 1 }], 1).all()[0];
        ChunkWrite::End { chunk, checksum: Checksum::of(b"") }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_without_room_counts_as_waiting() {
        let arrivals = Arrivals::default();
        let (writes, mut queue) = mpsc::channel(1);
        let second = Duration::from_secs(1);
        arrivals.deliver(&writes, write()).await.unwrap();
        tokio::time::advance(second).await;
        assert_eq!(arrivals.waited(Instant::now()), Duration::ZERO, "there was room");

        let taking = async {
            tokio::time::sleep(3 * second).await;
            assert_eq!(arrivals.waited(Instant::now()), 3 * second, "the current wait counts");
            queue.recv().await
        };
        let (delivered, _) = tokio::join!(arrivals.deliver(&writes, write()), taking);
        delivered.unwrap();
        tokio::time::advance(second).await;
        assert_eq!(arrivals.waited(Instant::now()), 3 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_its_session_and_a_closed_queue_is_reported() {
        let arrivals = Arrivals::default();
        let (writes, queue) = mpsc::channel(1);
        arrivals.deliver(&writes, write()).await.unwrap();
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, arrivals.deliver(&writes, write())).await.is_err());
        tokio::time::advance(second).await;
        assert_eq!(arrivals.waited(Instant::now()), second);
        drop(queue);
        let delivered = arrivals.deliver(&writes, write()).await;
        assert!(matches!(delivered, Err(QueueClosed)));
    }

    /// The requests of a server wait at the same time: what each of them waits is not added up.
    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_limit_is_no_time_of_the_source() {
        let (arrivals, second) = (Arrivals::default(), Duration::from_secs(1));
        arrivals.pass(&Meter::unlimited(), u64::MAX).await;
        assert_eq!(arrivals.waited(Instant::now()), Duration::ZERO, "there is no limit");
        let meter = Traffic::occupied(10 * second).downlink().meter(TrafficKind::Download);
        tokio::join!(arrivals.pass(&meter, 1), arrivals.pass(&meter, 1), arrivals.pass(&meter, 1));
        let waited = arrivals.waited(Instant::now());
        assert!(waited.abs_diff(10 * second) < second / 10, "{waited:?}");
        tokio::time::advance(second).await;
        assert_eq!(arrivals.waited(Instant::now()), waited);
    }
}
