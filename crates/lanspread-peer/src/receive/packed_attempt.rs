//! One attempt at a packed stream: the archives are decoded here, and are never on the disk.
//!
//! ```text
//!  feeding ─▶ PackedBytes ─▶ decoding thread ─▶ queue ─▶ [check] ─▶ staging thread
//!             read forward   one for all archives        as of a stream of entries
//! ```
//!
//! Whatever brings the bytes has verified them, so what is wrong with an archive is wrong with its manifest.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use lanspread_archive::header_map::HeaderMap;
use lanspread_archive::list::listings;
use lanspread_archive::packed::{PackedArchive, PackedArchives, PackedBytes};
use lanspread_archive::provider::EntrySink;
use lanspread_archive::{ArchiveError, SinkError, names};
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::content::{EntryStep, Totals};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::limits;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::receive::attempt_progress::AttemptProgress;
use crate::receive::error::AttemptError;
use crate::receive::staged_attempt::{AttemptContext, staged_attempt};
use crate::receive::staging_queue::{StagingBatch, StagingSender, StagingStep};
use crate::receive::unread::Unread;
use crate::trust::select::PeerOffer;

/// Installs what `bytes` has: the archives of `manifest`, in its order. On success the game is installed; on failure
/// nothing of the attempt is left.
///
/// `feeding` brings the bytes. If it fails, so does the attempt, unless everything was decoded already. It is dropped when
/// the attempt fails or is cancelled, and `bytes` is closed then. `source` is named in events and in the receipt.
///
/// # Errors
/// What `feeding` fails with; [`AttemptError::Archive`] if an archive is not what the manifest says or cannot be installed;
/// otherwise like an attempt at a stream of entries.
pub(crate) async fn packed_attempt(
    context: &AttemptContext,
    source: &PeerOffer,
    manifest: Arc<ManifestFile>,
    bytes: Arc<dyn PackedBytes>,
    feeding: impl Future<Output = Result<(), AttemptError>> + Send,
) -> Result<Totals, AttemptError> {
    let (steps, queue) = context.queue();
    let decoding = Decoding {
        manifest,
        bytes: Arc::clone(&bytes),
        dictionary_bytes_max: context.dictionary_bytes_max,
        policy: context.policy,
        is_compared: context.manifest.is_some(),
        progress: AttemptProgress::new(context, source),
    };
    let filling = fill(context, decoding, Unread::new(bytes), steps, feeding);
    staged_attempt(context, source, queue, filling).await
}

/// Decodes while the bytes come, and ends when the decoding thread has ended.
async fn fill(
    context: &AttemptContext,
    decoding: Decoding,
    unread: Unread,
    steps: StagingSender,
    feeding: impl Future<Output = Result<(), AttemptError>> + Send,
) -> Result<(), AttemptError> {
    let (stop, queue_ended) = (context.cancel.child_token(), steps.ended());
    let _stop_on_drop = stop.clone().drop_guard();
    // So that the other threads do not end before this knows how decoding ended, unless they fail.
    let _held_open = steps.held_open();
    let stop_decoding = stop.clone();
    let decoding = context
        .locked
        .run("decode", move |_, _, _| Ok::<_, AttemptError>(decoding.run(steps, &stop_decoding)));
    let (mut decoding, mut feeding) = (Box::pin(decoding), Box::pin(feeding));
    let mut is_fed = false;
    let failure = loop {
        tokio::select! {
            decoded = &mut decoding => {
                let decoded = decoded?;
                // The bytes that were not needed may be on their way, and a read that fails has its reason there.
                let fed = match &decoded {
                    Ok(()) | Err(ArchiveError::Read { .. }) if !is_fed => {
                        timeout(limits::PACKED_FEEDING_END_WAIT, &mut feeding).await.unwrap_or(Ok(()))
                    }
                    _ => Ok(()),
                };
                return match (decoded, fed) {
                    (Ok(()), _) => {
                        unread.keep();
                        Ok(())
                    }
                    (Err(_), Err(failure)) => Err(failure),
                    (Err(error), Ok(())) => Err(of_archive(error)),
                };
            }
            fed = &mut feeding, if !is_fed => match fed {
                Ok(()) => is_fed = true,
                Err(failure) => break failure,
            },
            () = queue_ended.cancelled() => break AttemptError::ThreadStopped,
            () = context.cancel.cancelled() => break AttemptError::Cancelled,
        }
    };
    stop.cancel();
    drop(feeding);
    drop(unread);
    decoding.await?.map_err(|_| failure)
}

fn of_archive(error: ArchiveError) -> AttemptError {
    match error {
        ArchiveError::Cancelled => AttemptError::Cancelled,
        // The threads that take from the queue have the reason.
        ArchiveError::Sink(_) => AttemptError::ThreadStopped,
        error => AttemptError::Archive(Box::new(error)),
    }
}

/// The work of the decoding thread.
struct Decoding {
    manifest: Arc<ManifestFile>,
    bytes: Arc<dyn PackedBytes>,
    dictionary_bytes_max: u64,
    policy: NamePolicy,
    /// Whether everything is compared with a manifest that is trusted.
    is_compared: bool,
    progress: AttemptProgress,
}

impl Decoding {
    fn run(self, steps: StagingSender, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        let Self { manifest, bytes, dictionary_bytes_max, policy, is_compared, progress } = self;
        let archives = PackedArchives::new(archives_of(&manifest)?, bytes, dictionary_bytes_max)?;
        drop(manifest);
        let (listed, totals) = archives.list(cancel)?;
        let folders = names::check(&listings(&listed), policy)?;
        // What is compared is announced as it was packed; otherwise all folders are known here, those on the way to files
        // included.
        let announced = if is_compared { totals } else { Totals { directories: folders, ..totals } };
        let sink = Rc::new(RefCell::new(QueueSink::announce(steps, progress, totals, announced)?));
        let decoded =
            listed.into_iter().try_for_each(|archive| archive.extract(&archives, sink.clone(), cancel));
        sink.borrow_mut().finish();
        decoded
    }
}

/// The archives that a manifest lists.
fn archives_of(manifest: &ManifestFile) -> Result<Vec<PackedArchive>, ArchiveError> {
    let listed = manifest.manifest();
    let archives = listed.archives.iter().enumerate().map(|(number, archive)| {
        let volumes: Vec<_> = archive.files.iter().map(|file| listed.root_files[*file].clone()).collect();
        let name = || volumes.first().map(|file| file.name.clone()).unwrap_or_default();
        let bytes =
            manifest.headers(number).map_err(|source| ArchiveError::Read { path: name().into(), source })?;
        let headers = HeaderMap::new(archive.headers.clone(), bytes);
        let headers = headers.filter(|headers| !headers.ranges().is_empty());
        let headers = headers.ok_or_else(|| {
            let reason = "the manifest does not have it".to_owned();
            ArchiveError::HeaderMap { archive: name(), reason }
        })?;
        Ok(PackedArchive { volumes, headers })
    });
    archives.collect()
}

/// Fills batches on the decoding thread. This is the only copy of what was decoded.
struct QueueSink {
    steps: StagingSender,
    batch: StagingBatch,
    progress: AttemptProgress,
    /// Of what was decoded, with copies.
    bytes: u64,
}

impl QueueSink {
    /// Announces the totals, and waits until the space for them is booked.
    fn announce(
        mut steps: StagingSender,
        mut progress: AttemptProgress,
        totals: Totals,
        announced: Totals,
    ) -> Result<Self, SinkError> {
        progress.announced(totals);
        let mut batch = steps.free_blocking().ok_or(SinkError::Closed)?;
        batch.push(StagingStep::Announced(announced));
        let next = steps.free_blocking().ok_or(SinkError::Closed)?;
        steps.hand_on(batch);
        steps.applied_blocking().ok_or(SinkError::Closed)?;
        Ok(Self { steps, batch: next, progress, bytes: 0 })
    }

    fn push(&mut self, step: EntryStep<std::ops::Range<usize>>) -> Result<(), SinkError> {
        self.batch.push(StagingStep::Entry(step));
        if self.batch.is_full() || self.batch.has_many_steps() {
            let next = self.steps.free_blocking().ok_or(SinkError::Closed)?;
            self.steps.hand_on(std::mem::replace(&mut self.batch, next));
        }
        Ok(())
    }

    fn data(&mut self, mut bytes: &[u8]) -> Result<(), SinkError> {
        while !bytes.is_empty() {
            let buffer = self.batch.buffer();
            let begin = buffer.len();
            let room = limits::STREAM_BATCH_BYTES - begin;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            buffer.extend_from_slice(now);
            bytes = rest;
            self.push(EntryStep::Data(begin..begin + now.len()))?;
        }
        Ok(())
    }

    /// Hands on what is left, also of content that failed: it may be the reason.
    fn finish(&mut self) {
        self.steps.hand_on(std::mem::take(&mut self.batch));
        self.progress.finish();
    }
}

impl EntrySink for QueueSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match &step {
            EntryStep::Data(bytes) => self.bytes += bytes.len() as u64,
            EntryStep::Copy(copy) => self.bytes += copy.size,
            EntryStep::ArchiveBegin(summary) => self.progress.archive(summary),
            _ => {}
        }
        match step {
            EntryStep::Data(bytes) => self.data(bytes)?,
            step => self.push(step.map_data(|_| 0..0))?,
        }
        self.progress.progress(self.bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
