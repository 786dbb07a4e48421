//! Writes small files beside the thread that checks them.
//!
//! To create a file costs the kernel several times what it costs to decode and check the few KiB in it. So small files
//! are collected in batches, and a second thread creates and writes them. While that thread is behind, the first one
//! writes batches too: neither waits for the other, and both write at the same time.
//!
//! Invariants: a file is handed over only when its content is complete and checked. No two files have the same path, and
//! their folders exist, so their order does not matter. [`SmallFiles::settle`] returns when every file is written, with
//! the first error. Dropping it discards the files that wait. After both, the thread has ended.

use std::io::Write;
use std::mem;
use std::ops::Range;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::thread::JoinHandle;

use lanspread_types::checksum::Checksum;
use lanspread_types::content::FileEntry;
use lanspread_types::fault::LocalError;
use lanspread_types::limits::{SMALL_FILE_BATCH_BYTES, SMALL_FILE_BATCH_FILES, SMALL_FILE_BATCHES};

use crate::install::staging::files::{StagingFiles, TimesRefused};
use crate::install::staging::shared_receipt::SharedReceipt;
use crate::state::booking::Written;

/// The small files of one tree.
#[derive(Debug)]
pub(super) struct SmallFiles {
    shared: Arc<Shared>,
    /// The batch that is being collected.
    batch: Batch,
    /// Files that were begun, and their bytes.
    begun: Written,
    writer: Option<Writer>,
    times_refused: TimesRefused,
}

#[derive(Debug)]
struct Shared {
    files: Arc<StagingFiles>,
    receipt: Arc<SharedReceipt>,
    /// What has been written of [`SmallFiles::begun`].
    files_written: AtomicU64,
    bytes_written: AtomicU64,
    /// Nothing more is written.
    is_discarded: AtomicBool,
}

/// The second thread. It ends when the channel is closed, or with its first error.
#[derive(Debug)]
struct Writer {
    batches: SyncSender<Batch>,
    thread: JoinHandle<Result<TimesRefused, LocalError>>,
}

/// Complete files, and the bytes of one that is being received.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    files: Vec<SmallFile>,
}

/// A file that is complete and checked, and where its bytes are.
#[derive(Debug)]
struct SmallFile {
    entry: FileEntry,
    checksum: Checksum,
    place: Range<usize>,
}

impl Batch {
    /// Where the bytes of the next file begin.
    fn end(&self) -> usize {
        self.files.last().map_or(0, |file| file.place.end)
    }

    fn is_full(&self) -> bool {
        self.files.len() >= SMALL_FILE_BATCH_FILES || self.bytes.len() >= SMALL_FILE_BATCH_BYTES
    }
}

impl SmallFiles {
    pub(super) fn new(files: Arc<StagingFiles>, receipt: Arc<SharedReceipt>) -> Self {
        let (files_written, bytes_written) = (AtomicU64::new(0), AtomicU64::new(0));
        let is_discarded = AtomicBool::new(false);
        let shared = Shared { files, receipt, files_written, bytes_written, is_discarded };
        Self {
            shared: Arc::new(shared),
            batch: Batch::default(),
            begun: Written::default(),
            writer: None,
            times_refused: TimesRefused::default(),
        }
    }

    /// A file begins. One that was not ended before is dropped.
    pub(super) fn begin(&mut self) {
        self.batch.bytes.truncate(self.batch.end());
        self.begun.files += 1;
    }

    /// The next bytes of the file.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.batch.bytes.extend_from_slice(bytes);
        self.begun.bytes += bytes.len() as u64;
    }

    /// The file is complete and checked.
    ///
    /// # Errors
    /// If an earlier file or this one cannot be written.
    pub(super) fn end(&mut self, entry: FileEntry, checksum: Checksum) -> Result<(), LocalError> {
        let place = self.batch.end()..self.batch.bytes.len();
        self.batch.files.push(SmallFile { entry, checksum, place });
        if self.batch.is_full() { self.hand_over() } else { Ok(()) }
    }

    /// What has begun and is not on the disk yet.
    pub(super) fn waiting(&self) -> Written {
        let written = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Written {
            files: self.begun.files.saturating_sub(written(&self.shared.files_written)),
            bytes: self.begun.bytes.saturating_sub(written(&self.shared.bytes_written)),
            folders: 0,
        }
    }

    /// Writes everything that waits, ends the thread, and returns the files whose times were refused.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn settle(&mut self) -> Result<TimesRefused, LocalError> {
        self.batch.bytes.truncate(self.batch.end());
        let batch = mem::take(&mut self.batch);
        self.write_here(&batch)?;
        self.join()?;
        Ok(mem::take(&mut self.times_refused))
    }

    /// Ends the thread. What waits is not written any more.
    pub(super) fn discard(&mut self) {
        self.shared.is_discarded.store(true, Ordering::Relaxed);
        let Some(Writer { batches, thread }) = self.writer.take() else { return };
        drop(batches);
        // Its files are not wanted, so its error does not matter.
        let _ = thread.join();
    }

    fn hand_over(&mut self) -> Result<(), LocalError> {
        let batch = mem::take(&mut self.batch);
        let Some(writer) = self.writer() else { return self.write_here(&batch) };
        match writer.batches.try_send(batch) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(batch)) => self.write_here(&batch),
            // The thread has failed; this returns its error.
            Err(TrySendError::Disconnected(batch)) => {
                self.join()?;
                self.write_here(&batch)
            }
        }
    }

    /// The second thread, which the first full batch starts. Without it, this thread does all the work.
    fn writer(&mut self) -> Option<&Writer> {
        if self.writer.is_none() {
            let (batches, queue) = sync_channel(SMALL_FILE_BATCHES);
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new().name("staging-writer".to_owned());
            match started.spawn(move || shared.write_all(&queue)) {
                Ok(thread) => self.writer = Some(Writer { batches, thread }),
                Err(error) => tracing::debug!("small files are written by one thread: {error}"),
            }
        }
        self.writer.as_ref()
    }

    fn write_here(&mut self, batch: &Batch) -> Result<(), LocalError> {
        self.shared.write(batch, &mut self.times_refused)
    }

    fn join(&mut self) -> Result<(), LocalError> {
        let Some(Writer { batches, thread }) = self.writer.take() else { return Ok(()) };
        drop(batches);
        let refused = thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))?;
        self.times_refused.add(refused);
        Ok(())
    }
}

impl Drop for SmallFiles {
    fn drop(&mut self) {
        self.discard();
    }
}

impl Shared {
    fn write_all(&self, queue: &Receiver<Batch>) -> Result<TimesRefused, LocalError> {
        let mut refused = TimesRefused::default();
        for batch in queue {
            self.write(&batch, &mut refused)?;
        }
        Ok(refused)
    }

    fn write(&self, batch: &Batch, refused: &mut TimesRefused) -> Result<(), LocalError> {
        for SmallFile { entry, checksum, place } in &batch.files {
            if self.is_discarded.load(Ordering::Relaxed) {
                break;
            }
            let mut file = self.files.create(&entry.path, entry.executable)?;
            let bytes = &batch.bytes[place.clone()];
            file.write_all(bytes).map_err(self.files.io("write", &entry.path))?;
            self.files.set_modified(&file, &entry.path, entry.modified, refused);
            self.receipt.file(&entry.path, entry.size, *checksum, &file)?;
            self.files_written.fetch_add(1, Ordering::Relaxed);
            self.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}
