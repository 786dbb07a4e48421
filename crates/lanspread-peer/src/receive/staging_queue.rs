//! What a stream brings, on its way to the staging thread.
//!
//! Steps travel in batches with the buffer into which their bytes were read, so that content is not copied on the way and
//! neither side wakes the other for each step. Invariant: there are never more than [`limits::STREAM_BATCHES`] batches,
//! whose memory is used again and again; a source that is ahead of the disk is not read from, which is the back-pressure.
//!
//! With a manifest, a thread between the two compares every batch and passes it on as it is: only what is listed reaches
//! the staging thread, and hashing costs neither the socket nor the disk its turn.

use std::ops::Range;

use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_store::install::staging::StagingSink;
use lanspread_store::state::booking::Booking;
use lanspread_trust::manifest::{Deviation, ManifestCheck};
use lanspread_types::content::{EntryStep, Totals};
use lanspread_types::fault::LocalError;
use lanspread_types::limits;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// One accepted step of a stream.
#[derive(Debug)]
pub(crate) enum StagingStep {
    /// The totals, before anything is written: the staging thread books the space or refuses the stream.
    Announced(Totals),
    /// Content of an archive. Data is a place in the buffer of the batch.
    Entry(EntryStep<Range<usize>>),
}

/// Steps that are taken together, and a buffer.
#[derive(Debug, Default)]
pub(crate) struct StagingBatch {
    bytes: Vec<u8>,
    steps: Vec<StagingStep>,
}

impl StagingBatch {
    /// What has arrived.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Adds a step. Content that continues the step before it joins that step: the pieces in which it arrives depend on the
    /// network, and each step is a write.
    pub(crate) fn push(&mut self, step: StagingStep) {
        if let StagingStep::Entry(EntryStep::Data(more)) = &step
            && let Some(StagingStep::Entry(EntryStep::Data(last))) = self.steps.last_mut()
            && last.end == more.start
        {
            last.end = more.end;
            return;
        }
        self.steps.push(step);
    }

    /// Whether it has no step.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether nothing more can be read into it.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= limits::STREAM_BATCH_BYTES
    }

    /// Whether it has as many steps as it may have.
    pub(crate) fn has_many_steps(&self) -> bool {
        self.steps.len() >= limits::STREAM_BATCH_STEPS_MAX
    }
}

/// An empty queue. If content is compared on the way, there is a third end: the thread that compares is between the other
/// two.
pub(crate) fn staging_queue(compares: bool) -> (StagingSender, Option<CheckingStage>, StagingReceiver) {
    let (full_sender, full) = mpsc::channel(limits::STREAM_BATCHES);
    let (free_sender, free) = mpsc::channel(limits::STREAM_BATCHES);
    let ended = CancellationToken::new();
    let (full, checking) = if compares {
        let (checked, staged) = mpsc::channel(limits::STREAM_BATCHES);
        (staged, Some(CheckingStage { full, checked, _ended: ended.clone().drop_guard() }))
    } else {
        (full, None)
    };
    for _ in 0..limits::STREAM_BATCHES {
        // There is room for all of them in either channel.
        let _ = free_sender.try_send(StagingBatch::default());
    }
    (
        StagingSender { full: full_sender, free, spare: Vec::new(), ended: ended.clone() },
        checking,
        StagingReceiver { full, free: free_sender, _ended: ended.drop_guard() },
    )
}

/// The end of the task that receives.
pub(crate) struct StagingSender {
    full: mpsc::Sender<StagingBatch>,
    free: mpsc::Receiver<StagingBatch>,
    /// Free ones that were taken out of the channel.
    spare: Vec<StagingBatch>,
    /// Cancelled when one of the threads has ended.
    ended: CancellationToken,
}

impl StagingSender {
    /// An empty batch, once there is one; `None` if the staging thread has ended. Cancel safe.
    pub(crate) async fn free(&mut self) -> Option<StagingBatch> {
        match self.spare.pop() {
            Some(batch) => Some(batch),
            None => self.free.recv().await,
        }
    }

    /// [`Self::free`] for a thread that may block.
    pub(crate) fn free_blocking(&mut self) -> Option<StagingBatch> {
        self.spare.pop().or_else(|| self.free.blocking_recv())
    }

    /// [`Self::applied`] for a thread that may block.
    pub(crate) fn applied_blocking(&mut self) -> Option<()> {
        while self.spare.len() + 1 < limits::STREAM_BATCHES {
            self.spare.push(self.free.blocking_recv()?);
        }
        Some(())
    }

    /// Waits until everything that was handed on has been applied: all batches are free again but the one that the caller
    /// has. `None` if the staging thread has ended. Cancel safe.
    pub(crate) async fn applied(&mut self) -> Option<()> {
        while self.spare.len() + 1 < limits::STREAM_BATCHES {
            self.spare.push(self.free.recv().await?);
        }
        Some(())
    }

    /// Hands a batch on. A staging thread that has ended does not need it.
    pub(crate) fn hand_on(&self, batch: StagingBatch) {
        if !batch.is_empty() {
            let _ = self.full.try_send(batch);
        }
    }

    /// Keeps the queue open after this end is gone, until it is dropped.
    pub(crate) fn held_open(&self) -> HeldOpen {
        HeldOpen { _full: self.full.clone() }
    }

    /// Waits until one of the threads has ended. Cancel safe.
    pub(crate) async fn closed(&self) {
        self.ended.cancelled().await;
    }

    /// Cancelled when one of the threads has ended.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

/// A queue that does not close before this is dropped.
pub(crate) struct HeldOpen {
    _full: mpsc::Sender<StagingBatch>,
}

/// The two ends of the thread that compares.
pub(crate) struct CheckingStage {
    full: mpsc::Receiver<StagingBatch>,
    checked: mpsc::Sender<StagingBatch>,
    _ended: DropGuard,
}

/// The thread that compares: passes batches on until the queue closes or something is not as listed. Of a batch in which
/// something is not, nothing is passed on.
pub(crate) fn check(
    mut stage: CheckingStage,
    mut checker: ManifestCheck,
) -> Result<ManifestCheck, Deviation> {
    while let Some(mut batch) = stage.full.blocking_recv() {
        let StagingBatch { bytes, steps } = &mut batch;
        for step in steps {
            match step {
                StagingStep::Announced(totals) => *totals = checker.announced(*totals)?,
                StagingStep::Entry(step) => checker.take(step, |place| &bytes[place.clone()])?,
            }
        }
        // There is room for all of them. A staging thread that has ended does not need it.
        if stage.checked.try_send(batch).is_err() {
            break;
        }
    }
    Ok(checker)
}

/// The end of the staging thread.
pub(crate) struct StagingReceiver {
    full: mpsc::Receiver<StagingBatch>,
    free: mpsc::Sender<StagingBatch>,
    _ended: DropGuard,
}

#[cfg(test)]
impl StagingReceiver {
    /// Takes a batch without a thread, for tests with a paused clock. Returns the number of its steps.
    pub(crate) async fn take(&mut self) -> Option<usize> {
        let mut batch = self.full.recv().await?;
        let steps = batch.steps.drain(..).len();
        batch.bytes.clear();
        let _ = self.free.try_send(batch);
        Some(steps)
    }
}

/// The staging thread: applies steps until the queue closes, and then returns the sink to be completed. The sink holds
/// the space that `book` booked.
pub(crate) fn stage(
    mut sink: StagingSink,
    mut queue: StagingReceiver,
    book: impl Fn(Totals) -> Result<Booking, LocalError>,
) -> Result<StagingSink, SinkError> {
    while let Some(StagingBatch { mut bytes, mut steps }) = queue.full.blocking_recv() {
        for step in steps.drain(..) {
            match step {
                StagingStep::Announced(totals) => sink.announce(totals, book(totals)?),
                StagingStep::Entry(step) => sink.take(step.map_data(|place| &bytes[place]))?,
            }
        }
        bytes.clear();
        // It is not needed once the stream has ended.
        let _ = queue.free.try_send(StagingBatch { bytes, steps });
    }
    Ok(sink)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lanspread_testing::{manifests, small_game};
    use lanspread_types::content::DirectoryEntry;
    use lanspread_types::entry_path::{EntryPath, NamePolicy};

    use super::*;

    fn checker() -> ManifestCheck {
        let (game, version) = (small_game::game(), small_game::version());
        let manifest = manifests::of_tree(&game, &version, &small_game::tree(), &[small_game::EMPTY_FOLDER]);
        ManifestCheck::new(Arc::clone(&manifest.shared()))
    }

    fn folder(name: &str) -> StagingStep {
        let path = EntryPath::parse(name, NamePolicy::Portable).unwrap();
        StagingStep::Entry(EntryStep::Directory(DirectoryEntry { path }))
    }

    /// *Applied* still means that the staging thread is done with everything, not the thread before it.
    #[tokio::test]
    async fn a_batch_is_applied_when_it_was_staged() {
        let (mut sender, stage, mut receiver) = staging_queue(true);
        let checking = tokio::task::spawn_blocking(move || check(stage.unwrap(), checker()));
        let mut batch = sender.free().await.unwrap();
        batch.push(folder(small_game::EMPTY_FOLDER));
        sender.hand_on(batch);
        let _next = sender.free().await.unwrap();
        tokio::select! {
            biased;
            applied = sender.applied() => panic!("{applied:?} before it was staged"),
            staged = receiver.take() => assert_eq!(staged, Some(1)),
        }
        assert_eq!(sender.applied().await, Some(()));
        drop(sender);
        assert!(checking.await.unwrap().is_ok());
    }

    /// The source is silent, so the thread that compares waits for a batch and hears nothing of the end of the other.
    #[tokio::test]
    async fn the_end_of_the_staging_thread_is_heard_at_once() {
        let (sender, stage, receiver) = staging_queue(true);
        let checking = tokio::task::spawn_blocking(move || check(stage.unwrap(), checker()));
        drop(receiver);
        sender.closed().await;
        drop(sender);
        assert!(checking.await.unwrap().is_ok());
    }

    #[test]
    fn content_that_continues_is_one_step() {
        let mut batch = StagingBatch::default();
        let data = |place| StagingStep::Entry(EntryStep::Data(place));
        for place in [0..3, 3..9, 14..20, 20..21] {
            batch.push(data(place));
        }
        batch.push(folder("a"));
        batch.push(data(21..22));
        let places: Vec<_> = batch
            .steps
            .iter()
            .filter_map(|step| match step {
                StagingStep::Entry(EntryStep::Data(place)) => Some(place.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(
            places,
            [0..9, 14..21, 21..22],
            "a frame begins behind its header, and an entry ends a file"
        );
    }

    #[tokio::test]
    async fn nothing_of_a_batch_with_an_unlisted_entry_is_staged() {
        let (mut sender, stage, mut receiver) = staging_queue(true);
        let checking = tokio::task::spawn_blocking(move || check(stage.unwrap(), checker()));
        let mut batch = sender.free().await.unwrap();
        batch.push(folder(small_game::EMPTY_FOLDER));
        batch.push(folder("other"));
        sender.hand_on(batch);
        sender.closed().await;
        assert_eq!(checking.await.unwrap().unwrap_err().path.as_deref(), Some("other"));
        assert_eq!(receiver.take().await, None);
    }
}
