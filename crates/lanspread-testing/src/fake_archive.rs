//! An open archive of one file whose content a test pushes.

use std::sync::Arc;

use lanspread_archive::provider::{ArchiveListing, ListedEntry, OpenArchive, SharedSink};
use lanspread_archive::{ArchiveError, SinkError};
use lanspread_types::checksum::ChecksumHasher;
use lanspread_types::content::{ArchiveFormat, ArchiveSummary, EntryStep, FileEntry, Totals};
use tokio_util::sync::CancellationToken;

/// Takes what the test pushes.
pub type Push<'a> = &'a mut dyn FnMut(EntryStep<&[u8]>) -> Result<(), SinkError>;

type Decode = Box<dyn FnOnce(Push<'_>, &CancellationToken) -> Result<(), ArchiveError> + Send>;

/// An archive that lists one file.
pub struct FakeArchive {
    listing: Arc<ArchiveListing>,
    file: FileEntry,
    decode: Decode,
}

impl FakeArchive {
    /// An open archive of this name and file; `decode` pushes the file's content.
    pub fn of_file(
        name: &str,
        file: FileEntry,
        decode: impl FnOnce(Push<'_>, &CancellationToken) -> Result<(), ArchiveError> + Send + 'static,
    ) -> Box<dyn OpenArchive> {
        Self::with_dictionary(name, file, 0, decode)
    }

    /// The same for an archive whose decoder would need a dictionary of so many bytes.
    pub fn with_dictionary(
        name: &str,
        file: FileEntry,
        dictionary_bytes: u64,
        decode: impl FnOnce(Push<'_>, &CancellationToken) -> Result<(), ArchiveError> + Send + 'static,
    ) -> Box<dyn OpenArchive> {
        let totals = Totals { files: 1, directories: 0, bytes: file.size };
        let summary =
            ArchiveSummary { name: name.to_owned(), format: ArchiveFormat::Rar5, solid: false, totals };
        let listing = Arc::new(ArchiveListing {
            summary,
            entries: vec![ListedEntry::File(file.clone())],
            dictionary_bytes,
        });
        Box::new(Self { listing, file, decode: Box::new(decode) })
    }
}

impl OpenArchive for FakeArchive {
    fn listing(&self) -> &Arc<ArchiveListing> {
        &self.listing
    }

    fn extract(self: Box<Self>, sink: SharedSink, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        let Self { listing, file, decode } = *self;
        sink.borrow_mut().take(EntryStep::ArchiveBegin(listing.summary.clone()))?;
        sink.borrow_mut().take(EntryStep::FileBegin(file))?;
        let mut hasher = ChecksumHasher::default();
        let mut push = |step: EntryStep<&[u8]>| {
            if let EntryStep::Data(bytes) = &step {
                hasher.update(bytes);
            }
            sink.borrow_mut().take(step)
        };
        decode(&mut push, cancel)?;
        sink.borrow_mut().take(EntryStep::FileEnd(hasher.finish()))?;
        Ok(sink.borrow_mut().take(EntryStep::ArchiveEnd)?)
    }
}
