//! The traits of the archive layer: a provider opens archives, an open archive decodes, a sink takes the entries.
//!
//! ```text
//! provider.open(archive).extract(sink)      sink = frames ── wire ──▶ staging      streamed install
//!                                           sink = staging                         install from own archives
//! ```
//!
//! Invariants: entries are pushed in archive order in one sequential pass, so solid archives are the normal case.
//! A provider pushes exactly what it listed: fewer or more bytes, another order or another CRC-32 is an error and
//! never a shorter file. The traits are synchronous and run on blocking threads. If a call is cancelled, it returns
//! soon, and its child process, if any, is killed and reaped.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use lanspread_types::content::{ArchiveSummary, CopyEntry, DirectoryEntry, EntryStep, FileEntry};
use lanspread_types::entry_path::EntryPath;
use tokio_util::sync::CancellationToken;

use crate::error::{ArchiveError, SinkError};
use crate::set::ArchiveSet;

/// Decodes archives.
pub trait ArchiveProvider: Send + Sync {
    /// Opens an archive and lists it without decoding it. Refuses what cannot be installed: encryption, symbolic links,
    /// unsafe names, and sizes or counts beyond the limits.
    ///
    /// # Errors
    /// Every variant of [`ArchiveError`] except `Sink`.
    fn open(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError>;
}

/// An archive that was opened and listed, and can be decoded once.
pub trait OpenArchive {
    /// Everything in it.
    fn listing(&self) -> &Arc<ArchiveListing>;

    /// Decodes the archive and pushes its entries into `sink`.
    ///
    /// # Errors
    /// [`ArchiveError::Sink`] if the sink refused an entry, [`ArchiveError::Cancelled`] if the call was cancelled, and
    /// any other variant if the archive or the decoder is at fault.
    fn extract(self: Box<Self>, sink: SharedSink, cancel: &CancellationToken) -> Result<(), ArchiveError>;

    /// Decodes the archive and pushes only the entries that `wanted` chooses into `sink`. An archive whose members do not
    /// depend on each other may have anything in the place of the others.
    ///
    /// # Errors
    /// As [`Self::extract`], of the entries that are wanted.
    fn extract_some(
        self: Box<Self>,
        wanted: &WantedEntries,
        sink: SharedSink,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        let wanted = Arc::clone(wanted);
        self.extract(Rc::new(RefCell::new(ChosenEntries { wanted, sink, is_passed: false })), cancel)
    }
}

/// Chooses entries by their paths.
pub type WantedEntries = Arc<dyn Fn(&EntryPath) -> bool + Send + Sync>;

/// Passes on the entries that are wanted.
struct ChosenEntries {
    wanted: WantedEntries,
    sink: SharedSink,
    /// Whether the open file is wanted.
    is_passed: bool,
}

impl EntrySink for ChosenEntries {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        let is_passed = match &step {
            EntryStep::ArchiveBegin(_) | EntryStep::ArchiveEnd => true,
            EntryStep::Directory(directory) => (self.wanted)(&directory.path),
            EntryStep::Copy(copy) => (self.wanted)(&copy.path),
            EntryStep::FileBegin(file) => {
                self.is_passed = (self.wanted)(&file.path);
                self.is_passed
            }
            EntryStep::Data(_) | EntryStep::FileEnd(_) => self.is_passed,
        };
        if is_passed { self.sink.borrow_mut().take(step) } else { Ok(()) }
    }
}

/// A sink that its owner and the decoder share on one thread: decoders keep their writers longer than a borrow lasts.
pub type SharedSink = Rc<RefCell<dyn EntrySink>>;

/// Takes the content of archives, in archive order and in the grammar of [`EntryStep`].
pub trait EntrySink {
    /// Takes the next step.
    ///
    /// # Errors
    /// [`SinkError`] if the sink takes no more; the decoder then stops.
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError>;
}

/// One entry as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedEntry {
    /// A folder.
    Directory(DirectoryEntry),
    /// A file with bytes of its own, possibly none.
    File(FileEntry),
    /// A file equal to an earlier one.
    Copy(CopyEntry),
}

/// All entries of an archive, within the limits. The totals are the sums over the entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveListing {
    /// The summary that is announced to the sink.
    pub summary: ArchiveSummary,
    /// The entries, in archive order.
    pub entries: Vec<ListedEntry>,
    /// The largest dictionary of its compressed files, in bytes; 0 if all are stored. Decoding takes this much memory,
    /// and a few MiB.
    pub dictionary_bytes: u64,
}

impl ArchiveListing {
    /// Whether one of its entries is wanted.
    pub fn has_any(&self, wanted: &WantedEntries) -> bool {
        self.entries.iter().any(|entry| match entry {
            ListedEntry::Directory(directory) => wanted(&directory.path),
            ListedEntry::File(file) => wanted(&file.path),
            ListedEntry::Copy(copy) => wanted(&copy.path),
        })
    }
}

/// Which provider decodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProviderChoice {
    /// Decoders in this process.
    #[default]
    Native,
    /// The external program at this path, or of this name on `PATH`.
    Unrar(PathBuf),
}
