//! A sink that writes entries below the handle of the staging folder and verifies every file.
//!
//! Invariants: every file is newly created. No link is created, and none is followed out of the staging folder. A file
//! counts only if its CRC-32 equals the one that the source computed and the one in the archive, if it has one. Of its
//! mode only *executable* is kept, within the user's umask. Times are clamped to what every file system can hold; a file
//! system that refuses them gets none, with one warning.
//!
//! Everything that takes space is counted before it is created, folders on the way to files included: it is within what
//! was announced, and within what is booked.

use std::fs::{File, FileTimes};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_types::checksum::{Checksum, ChecksumHasher};
use lanspread_types::content::{CopyEntry, DirectoryEntry, EntryStep, FileEntry, Totals, UnixSeconds};
use lanspread_types::entry_path::{EntryKind, EntryPath, NamePolicy, PathIndex};
use lanspread_types::fault::{ContentError, LocalError};
use lanspread_types::limits::{DATA_CHUNK_BYTES, FOLDERS_ON_THE_WAY_MIN};

use crate::state::booking::Booking;
use crate::state::disk_calls::set_times;
use crate::state::games_dir::create_folder;
use crate::state::receipt::ReceiptDraft;

const MODE_FILE: u32 = 0o644;
const MODE_EXECUTABLE: u32 = 0o755;

/// Writes one tree.
#[derive(Debug)]
pub struct StagingSink {
    staging: Dir,
    /// Path of the staging folder, for messages.
    shown: PathBuf,
    paths: PathIndex,
    receipt: ReceiptDraft,
    open: Option<OpenFile>,
    totals: Totals,
    budget: Budget,
    times_refused: TimesRefused,
}

/// What may be created, and what has been.
#[derive(Debug)]
struct Budget {
    /// The space that is booked; released when the sink is complete or dropped.
    booking: Option<Booking>,
    folders_max: u64,
    folders: u64,
    files: u64,
    /// Bytes of files, with the rest of the last block of each.
    bytes: u64,
}

impl Budget {
    fn new(announced: Totals, booking: Option<Booking>) -> Self {
        Self { booking, folders_max: folders_max(announced), folders: 0, files: 0, bytes: 0 }
    }
}

/// The most folders of a tree of these totals, those on the way to its files included. Pure.
fn folders_max(announced: Totals) -> u64 {
    announced.directories.saturating_add(announced.files.max(FOLDERS_ON_THE_WAY_MIN))
}

/// The files whose times the file system refused.
#[derive(Debug, Default)]
struct TimesRefused {
    count: u64,
    /// The first refusal.
    first: Option<LocalError>,
}

/// The file that is being received.
#[derive(Debug)]
struct OpenFile {
    entry: FileEntry,
    file: File,
    checksum: ChecksumHasher,
}

impl StagingSink {
    pub(crate) fn new(staging: Dir, shown: PathBuf, policy: NamePolicy, receipt: ReceiptDraft) -> Self {
        Self {
            staging,
            shown,
            paths: PathIndex::new(policy),
            receipt,
            open: None,
            totals: Totals::default(),
            budget: Budget::new(Totals::default(), None),
            times_refused: TimesRefused::default(),
        }
    }

    /// Says what will be written, for which this space is booked. It comes before the first entry.
    pub fn announce(&mut self, totals: Totals, booking: Booking) {
        self.budget = Budget::new(totals, Some(booking));
    }

    /// Completes the draft of the receipt and returns what was written.
    pub fn complete(self) -> Result<Totals, LocalError> {
        if let Some(first) = self.times_refused.first {
            tracing::warn!(
                "{} files have the time of this install instead of their own: {first}",
                self.times_refused.count
            );
        }
        self.receipt.complete(self.totals)?;
        Ok(self.totals)
    }

    /// Checks that the entry's path is free, counts what it needs, and creates its folders.
    fn place(&mut self, path: &EntryPath, kind: EntryKind) -> Result<(), SinkError> {
        let new_folders = self.paths.insert(path, kind).map_err(ContentError::Name)?;
        self.budget.folders += new_folders.len() as u64;
        self.budget.files += u64::from(kind == EntryKind::File);
        if self.budget.folders > self.budget.folders_max {
            return Err(ContentError::TooManyFolders { limit: self.budget.folders_max }.into());
        }
        self.cover()?;
        for folder in new_folders {
            create_folder(&self.staging, folder)
                .map_err(LocalError::io("create", self.shown.join(folder)))?;
        }
        Ok(())
    }

    /// Books what has been written since the last time, and what is about to be created.
    fn cover(&self) -> Result<(), LocalError> {
        let Budget { booking: Some(booking), folders, files, bytes, .. } = &self.budget else {
            return Ok(());
        };
        booking.cover(bytes.saturating_add(self.receipt.bytes()), *files, *folders)
    }

    fn wrote(&mut self, bytes: usize) -> Result<(), LocalError> {
        self.budget.bytes += bytes as u64;
        self.cover()
    }

    /// Sets the time of a file. Its content is whole without it, so a refusal does not end the install.
    fn set_modified(&mut self, file: &File, path: &EntryPath, modified: Option<UnixSeconds>) {
        let Some(modified) = modified else { return };
        let seconds = u64::try_from(modified).unwrap_or(0).min(u64::from(u32::MAX));
        let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds));
        let shown = self.shown.join(path.as_str());
        if let Err(error) = set_times(file, times, &shown) {
            self.times_refused.count += 1;
            self.times_refused.first.get_or_insert_with(|| LocalError::io("set the time of", shown)(error));
        }
    }

    fn create(&self, path: &EntryPath, executable: bool) -> Result<File, LocalError> {
        let mode = if executable { MODE_EXECUTABLE } else { MODE_FILE };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        let created = self.staging.open_with(path.as_str(), &options);
        Ok(created.map_err(self.io("create", path))?.into_std())
    }

    fn io(
        &self,
        action: &'static str,
        path: &EntryPath,
    ) -> impl FnOnce(std::io::Error) -> LocalError + use<> {
        LocalError::io(action, self.shown.join(path.as_str()))
    }

    fn record(&mut self, path: &EntryPath, size: u64, checksum: Checksum) -> Result<(), LocalError> {
        self.totals.files += 1;
        self.totals.bytes += size;
        if let Some(booking) = &self.budget.booking {
            self.budget.bytes += booking.rest_of_block(size);
        }
        self.receipt.file(path.as_str(), size, checksum)
    }
}

impl EntrySink for StagingSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match step {
            EntryStep::ArchiveBegin(_) | EntryStep::ArchiveEnd => Ok(()),
            EntryStep::Directory(directory) => self.directory(&directory),
            EntryStep::FileBegin(file) => self.file_begin(file),
            EntryStep::Data(bytes) => self.data(bytes),
            EntryStep::FileEnd(checksum) => self.file_end(checksum),
            EntryStep::Copy(copy) => self.copy(&copy),
        }
    }
}

impl StagingSink {
    fn directory(&mut self, directory: &DirectoryEntry) -> Result<(), SinkError> {
        self.place(&directory.path, EntryKind::Directory)?;
        self.totals.directories += 1;
        Ok(())
    }

    fn file_begin(&mut self, file: FileEntry) -> Result<(), SinkError> {
        self.place(&file.path, EntryKind::File)?;
        let created = self.create(&file.path, file.executable)?;
        self.open = Some(OpenFile { entry: file, file: created, checksum: ChecksumHasher::default() });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        // The grammar passes no data without an open file.
        let Some(open) = &mut self.open else { return Err(SinkError::Closed) };
        open.checksum.update(bytes);
        if let Err(error) = open.file.write_all(bytes) {
            let path = open.entry.path.clone();
            return Err(self.io("write", &path)(error).into());
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
        self.set_modified(&open.file, &entry.path, entry.modified);
        Ok(self.record(&entry.path, entry.size, got)?)
    }

    fn copy(&mut self, copy: &CopyEntry) -> Result<(), SinkError> {
        self.place(&copy.path, EntryKind::File)?;
        let unknown = || ContentError::UnknownOriginal {
            path: copy.path.to_string(),
            original: copy.original.to_string(),
        };
        let mut original = self.staging.open(copy.original.as_str()).map_err(|_| unknown())?.into_std();
        let metadata = original.metadata().map_err(self.io("read", &copy.original))?;
        if !metadata.is_file() || metadata.len() != copy.size {
            return Err(unknown().into());
        }
        let mut file = self.create(&copy.path, copy.executable)?;
        let mut checksum = ChecksumHasher::default();
        let mut buffer = vec![0; DATA_CHUNK_BYTES];
        loop {
            let count = original.read(&mut buffer).map_err(self.io("read", &copy.original))?;
            if count == 0 {
                break;
            }
            checksum.update(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(self.io("write", &copy.path))?;
            self.wrote(count)?;
        }
        self.set_modified(&file, &copy.path, copy.modified);
        Ok(self.record(&copy.path, copy.size, checksum.finish())?)
    }
}

#[cfg(test)]
mod tests;
