//! A sink that writes entries below the handle of the staging folder and verifies every file.
//!
//! Invariants: every file is newly created. No link is created, and none is followed out of the staging folder. A file
//! counts only if its CRC-32 equals the one that the source computed and the one in the archive, if it has one. Of its
//! mode only *executable* is kept, within the user's umask. Times are clamped to what every file system can hold; a file
//! system that refuses them gets none, with one warning.
//!
//! A sink that has a manifest gets only entries that were compared with it, and their receipt gets the digests of the
//! manifest, with a stamp of each file that was read after its last byte and its time.
//!
//! Everything that takes space is counted before it is created, folders on the way to files included: it is within what
//! was announced, and within what is booked.

mod files;
mod picking;
mod shared_receipt;
mod small_files;

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::fs::Dir;
use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_trust::manifest::Manifest;
use lanspread_types::checksum::{Checksum, ChecksumHasher};
use lanspread_types::content::{CopyEntry, DirectoryEntry, EntryStep, FileEntry, Totals};
use lanspread_types::entry_path::{EntryKind, EntryPath, NamePolicy, PathIndex};
use lanspread_types::fault::{ContentError, LocalError};
use lanspread_types::limits::{DATA_CHUNK_BYTES, FOLDERS_ON_THE_WAY_MIN, SMALL_FILE_BYTES_MAX};

use crate::install::staging::files::{StagingFiles, TimesRefused};
use crate::install::staging::picking::{Picking, StagePicked};
use crate::install::staging::shared_receipt::{SharedReceipt, StagedDigests};
use crate::install::staging::small_files::SmallFiles;
use crate::install::tree_repair::TreeRepair;
use crate::state::booking::{Booking, Written};
use crate::state::receipt::ReceiptDraft;

/// Writes one tree.
#[derive(Debug)]
pub struct StagingSink {
    files: Arc<StagingFiles>,
    /// Dropped before the booking ends.
    small: SmallFiles,
    paths: PathIndex,
    receipt: Arc<SharedReceipt>,
    open: Option<OpenFile>,
    totals: Totals,
    budget: Budget,
    times_refused: TimesRefused,
    /// What is taken of the whole, if it repairs a tree.
    picking: Option<Picking>,
}

/// What may be created, and what has been.
#[derive(Debug)]
struct Budget {
    /// The space that is booked; released when the sink is complete or dropped.
    booking: Option<Booking>,
    folders_max: u64,
    /// What was or is about to be created; its bytes with the rest of the last block of each file.
    counted: Written,
}

impl Budget {
    fn new(announced: Totals, booking: Option<Booking>) -> Self {
        Self { booking, folders_max: folders_max(announced), counted: Written::default() }
    }
}

/// The most folders of a tree of these totals, those on the way to its files included. Pure.
fn folders_max(announced: Totals) -> u64 {
    announced.directories.saturating_add(announced.files.max(FOLDERS_ON_THE_WAY_MIN))
}

/// The file that is being received.
#[derive(Debug)]
struct OpenFile {
    entry: FileEntry,
    /// `None` for a small file.
    file: Option<File>,
    checksum: ChecksumHasher,
}

impl StagingSink {
    /// With a `manifest`, all entries that follow must have been compared with it.
    pub(crate) fn new(
        staging: Dir,
        shown: PathBuf,
        policy: NamePolicy,
        receipt: ReceiptDraft,
        manifest: Option<Arc<Manifest>>,
    ) -> Self {
        let digests = manifest.map_or(StagedDigests::Unknown, StagedDigests::Listed);
        Self::with_digests(staging, shown, policy, receipt, digests)
    }

    /// Takes of a whole game only what this repair of `local` wants. The receipt has everything else already.
    pub(crate) fn for_repair(
        staging: Dir,
        shown: PathBuf,
        policy: NamePolicy,
        receipt: ReceiptDraft,
        repair: &Arc<TreeRepair>,
        local: Dir,
    ) -> Self {
        let digests = StagedDigests::Wanted(Arc::clone(repair));
        let sink = Self::with_digests(staging, shown, policy, receipt, digests);
        Self { picking: Some(Picking::new(Arc::clone(repair), local)), ..sink }
    }

    fn with_digests(
        staging: Dir,
        shown: PathBuf,
        policy: NamePolicy,
        receipt: ReceiptDraft,
        digests: StagedDigests,
    ) -> Self {
        let files = Arc::new(StagingFiles::new(staging, shown));
        let receipt = Arc::new(SharedReceipt::new(receipt, digests));
        Self {
            small: SmallFiles::new(Arc::clone(&files), Arc::clone(&receipt)),
            files,
            paths: PathIndex::new(policy),
            receipt,
            open: None,
            totals: Totals::default(),
            budget: Budget::new(Totals::default(), None),
            times_refused: TimesRefused::default(),
            picking: None,
        }
    }

    /// Stages what a repair needs and the tree itself has: files of which only the mode is wrong.
    ///
    /// # Errors
    /// If such a file has changed meanwhile, or cannot be written.
    pub fn stage_own(&mut self) -> Result<(), SinkError> {
        self.picked(Picking::stage_own)
    }

    /// Makes the folders that a repair wants. They have no content, so no source is asked for them.
    ///
    /// # Errors
    /// If a folder cannot be made.
    pub fn make_folders(&mut self) -> Result<(), SinkError> {
        self.picked(Picking::make_folders)
    }

    /// What a repair wants and has not come.
    pub fn missing(&self) -> Option<ContentError> {
        self.picking.as_ref().and_then(Picking::missing)
    }

    /// Bytes of content that came to a repair, wanted or not.
    pub fn came_bytes(&self) -> u64 {
        self.picking.as_ref().map_or(self.totals.bytes, Picking::bytes)
    }

    fn picked<T: Default>(
        &mut self,
        pick: impl FnOnce(&mut Picking, &mut Self) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let Some(mut picking) = self.picking.take() else { return Ok(T::default()) };
        let picked = pick(&mut picking, self);
        self.picking = Some(picking);
        picked
    }

    /// Says what will be written, for which this space is booked. It comes before the first entry.
    pub fn announce(&mut self, totals: Totals, booking: Booking) {
        self.budget = Budget::new(totals, Some(booking));
    }

    /// Waits until everything that was taken is written. The sink has no thread of its own after this.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn settle(&mut self) -> Result<(), LocalError> {
        let refused = self.small.settle()?;
        self.times_refused.add(refused);
        Ok(())
    }

    /// Completes the draft of the receipt and returns what was written.
    ///
    /// # Errors
    /// If a file or the receipt cannot be written.
    pub fn complete(mut self) -> Result<Totals, LocalError> {
        self.settle()?;
        if let Some(first) = self.times_refused.first {
            tracing::warn!(
                "{} files have the time of this install instead of their own: {first}",
                self.times_refused.count
            );
        }
        let of_tree = self.picking.as_ref().map_or(self.totals, |picking| picking.repair().totals());
        self.receipt.complete(of_tree)?;
        Ok(self.totals)
    }

    /// Checks that the entry's path is free, counts what it needs, and creates its folders.
    fn place(&mut self, path: &EntryPath, kind: EntryKind) -> Result<(), SinkError> {
        let new_folders = self.paths.insert(path, kind).map_err(ContentError::Name)?;
        self.budget.counted.folders += new_folders.len() as u64;
        self.budget.counted.files += u64::from(kind == EntryKind::File);
        if self.budget.counted.folders > self.budget.folders_max {
            return Err(ContentError::TooManyFolders { limit: self.budget.folders_max }.into());
        }
        self.cover()?;
        for folder in new_folders {
            self.files.create_folder(folder)?;
        }
        Ok(())
    }

    /// Books what has been written since the last time, and what is about to be created.
    fn cover(&self) -> Result<(), LocalError> {
        let Budget { booking: Some(booking), counted, .. } = &self.budget else {
            return Ok(());
        };
        let bytes = counted.bytes.saturating_add(self.receipt.bytes());
        booking.cover(Written { bytes, ..*counted }, self.small.waiting())
    }

    fn wrote(&mut self, bytes: usize) -> Result<(), LocalError> {
        self.budget.counted.bytes += bytes as u64;
        self.cover()
    }

    /// Counts a file that is complete and checked.
    fn count(&mut self, size: u64) {
        self.totals.files += 1;
        self.totals.bytes += size;
        if let Some(booking) = &self.budget.booking {
            self.budget.counted.bytes += booking.rest_of_block(size);
        }
    }
}

impl EntrySink for StagingSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        if self.picking.is_none() {
            return self.stage_step(step);
        }
        self.picked(|picking, sink| picking.pick(sink, step))
    }
}

impl StagePicked for StagingSink {
    fn stage(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        self.stage_step(step)
    }

    fn open_staged(&mut self, path: &EntryPath) -> Result<File, LocalError> {
        self.settle()?;
        self.files.open(path).map_err(self.files.io("open", path))
    }
}

impl StagingSink {
    /// Takes a step of what is staged.
    fn stage_step(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match step {
            EntryStep::ArchiveBegin(_) | EntryStep::ArchiveEnd => Ok(()),
            EntryStep::Directory(directory) => self.directory(&directory),
            EntryStep::FileBegin(file) => self.file_begin(file),
            EntryStep::Data(bytes) => self.data(bytes),
            EntryStep::FileEnd(checksum) => self.file_end(checksum),
            EntryStep::Copy(copy) => self.copy(&copy),
        }
    }

    fn directory(&mut self, directory: &DirectoryEntry) -> Result<(), SinkError> {
        self.place(&directory.path, EntryKind::Directory)?;
        self.totals.directories += 1;
        Ok(())
    }

    fn file_begin(&mut self, file: FileEntry) -> Result<(), SinkError> {
        self.place(&file.path, EntryKind::File)?;
        let created = if file.size <= SMALL_FILE_BYTES_MAX {
            self.small.begin();
            None
        } else {
            Some(self.files.create(&file.path, file.executable)?)
        };
        self.open = Some(OpenFile { entry: file, file: created, checksum: ChecksumHasher::default() });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        // The grammar passes no data without an open file.
        let Some(open) = &mut self.open else { return Err(SinkError::Closed) };
        open.checksum.update(bytes);
        match &mut open.file {
            None => self.small.push(bytes),
            Some(file) => file.write_all(bytes).map_err(self.files.io("write", &open.entry.path))?,
        }
        Ok(self.wrote(bytes.len())?)
    }

    fn file_end(&mut self, checksum: Checksum) -> Result<(), SinkError> {
        let Some(open) = self.open.take() else { return Err(SinkError::Closed) };
        let got = open.checksum.finish();
        let entry = open.entry;
        for expected in [Some(checksum), entry.checksum].into_iter().flatten() {
            if expected != got {
                return Err(ContentError::Checksum { path: entry.path.to_string(), expected, got }.into());
            }
        }
        self.count(entry.size);
        match open.file {
            None => self.small.end(entry, got)?,
            Some(file) => {
                self.files.set_modified(&file, &entry.path, entry.modified, &mut self.times_refused);
                self.receipt.file(&entry.path, entry.size, got, &file)?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, copy: &CopyEntry) -> Result<(), SinkError> {
        self.place(&copy.path, EntryKind::File)?;
        // The original may be one that waits.
        self.settle()?;
        let unknown = || ContentError::UnknownOriginal {
            path: copy.path.to_string(),
            original: copy.original.to_string(),
        };
        let mut original = self.files.open(&copy.original).map_err(|_| unknown())?;
        let metadata = original.metadata().map_err(self.files.io("read", &copy.original))?;
        if !metadata.is_file() || metadata.len() != copy.size {
            return Err(unknown().into());
        }
        let mut file = self.files.create(&copy.path, copy.executable)?;
        let mut checksum = ChecksumHasher::default();
        let mut buffer = vec![0; DATA_CHUNK_BYTES];
        loop {
            let count = original.read(&mut buffer).map_err(self.files.io("read", &copy.original))?;
            if count == 0 {
                break;
            }
            checksum.update(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(self.files.io("write", &copy.path))?;
            self.wrote(count)?;
        }
        self.files.set_modified(&file, &copy.path, copy.modified, &mut self.times_refused);
        self.count(copy.size);
        Ok(self.receipt.file(&copy.path, copy.size, checksum.finish(), &file)?)
    }
}

#[cfg(test)]
mod tests;
