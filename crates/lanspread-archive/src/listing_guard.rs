//! Walks a listing while decoded bytes arrive, and holds the decoder to it.
//!
//! Both providers push plain bytes in archive order. The guard cuts them at the listed sizes, names the entries,
//! computes each CRC-32, compares it with the listed one, and reports fewer or more bytes than listed as an error.

use std::sync::Arc;

use lanspread_types::checksum::ChecksumHasher;
use lanspread_types::content::{EntryStep, FileEntry};

use crate::error::{ArchiveError, SinkError};
use crate::provider::{ArchiveListing, ListedEntry, SharedSink};

/// Passes the bytes of one archive to a sink.
pub(super) struct ListingGuard {
    listing: Arc<ArchiveListing>,
    /// Index of the next entry to begin.
    next: usize,
    sink: SharedSink,
    open: Option<OpenFile>,
}

/// The file whose bytes are arriving.
struct OpenFile {
    index: usize,
    size: u64,
    received: u64,
    checksum: ChecksumHasher,
}

impl ListingGuard {
    /// Begins the archive and pushes every entry before the first byte of content.
    pub(super) fn begin(listing: Arc<ArchiveListing>, sink: SharedSink) -> Result<Self, ArchiveError> {
        sink.borrow_mut().take(EntryStep::ArchiveBegin(listing.summary.clone()))?;
        let mut feed = Self { listing, next: 0, sink, open: None };
        feed.advance()?;
        Ok(feed)
    }

    /// The file whose bytes are due next, and how many of them have arrived; `None` if all content has arrived.
    pub(super) fn expected(&self) -> Option<(&FileEntry, u64)> {
        self.open.as_ref().map(|open| (self.file(open.index), open.received))
    }

    /// Whether the next bytes are the first of this file.
    pub(super) fn expects(&self, path: &str) -> bool {
        self.expected().is_some_and(|(file, received)| received == 0 && file.path.as_str() == path)
    }

    /// Takes the next decoded bytes, which may span files.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            let Some(open) = &mut self.open else {
                return Err(self.too_many(bytes.len()));
            };
            let missing = open.size - open.received;
            let take = usize::try_from(missing).map_or(bytes.len(), |missing| missing.min(bytes.len()));
            let (chunk, rest) = bytes.split_at(take);
            open.checksum.update(chunk);
            open.received += take as u64;
            let complete = open.received == open.size;
            self.sink.borrow_mut().take(EntryStep::Data(chunk))?;
            bytes = rest;
            if complete {
                self.end_file()?;
                self.advance()?;
            }
        }
        Ok(())
    }

    /// Ends the archive; every listed byte must have arrived.
    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        if let Some((file, got)) = self.expected() {
            return Err(ArchiveError::Size {
                archive: self.listing.summary.name.clone(),
                entry: file.path.to_string(),
                expected: file.size,
                got,
            });
        }
        self.sink.borrow_mut().take(EntryStep::ArchiveEnd)?;
        Ok(())
    }

    /// Pushes entries without content until a file with content is open or the listing ends.
    fn advance(&mut self) -> Result<(), ArchiveError> {
        let listing = Arc::clone(&self.listing);
        while let Some(entry) = listing.entries.get(self.next) {
            let index = self.next;
            self.next += 1;
            match entry {
                ListedEntry::Directory(directory) => {
                    self.push_step(EntryStep::Directory(directory.clone()))?;
                }
                ListedEntry::Copy(copy) => self.push_step(EntryStep::Copy(copy.clone()))?,
                ListedEntry::File(file) => {
                    self.push_step(EntryStep::FileBegin(file.clone()))?;
                    let checksum = ChecksumHasher::default();
                    self.open = Some(OpenFile { index, size: file.size, received: 0, checksum });
                    if file.size > 0 {
                        return Ok(());
                    }
                    self.end_file()?;
                }
            }
        }
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), ArchiveError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let got = open.checksum.finish();
        let file = self.file(open.index);
        match file.checksum {
            Some(expected) if expected != got => Err(ArchiveError::Checksum {
                archive: self.listing.summary.name.clone(),
                entry: file.path.to_string(),
                expected,
                got,
            }),
            _ => Ok(self.push_step(EntryStep::FileEnd(got))?),
        }
    }

    fn push_step(&self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        self.sink.borrow_mut().take(step)
    }

    fn file(&self, index: usize) -> &FileEntry {
        match &self.listing.entries[index] {
            ListedEntry::File(file) => file,
            ListedEntry::Directory(_) | ListedEntry::Copy(_) => unreachable!("only files are opened"),
        }
    }

    fn too_many(&self, extra_bytes: usize) -> ArchiveError {
        ArchiveError::Corrupt {
            archive: self.listing.summary.name.clone(),
            entry: None,
            reason: format!("{extra_bytes} bytes decoded after the last listed entry"),
        }
    }
}
