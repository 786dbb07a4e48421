//! The two traits of the archive layer: a provider decodes archives, a sink takes their entries.
//!
//! ```text
//! provider.extract(archive, sink)      sink = WireSink ── wire ──▶ StagingSink      streamed install
//! ```
//!
//! Invariants: entries are pushed in archive order in one sequential pass, so solid archives are the normal case.
//! A provider pushes exactly what it listed: fewer or more bytes, another order or another CRC-32 is an error and
//! never a shorter file. Both traits are synchronous and run on blocking threads; cancelling makes a provider
//! return soon, with its child process killed and reaped.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use lanspread_types::content::{ArchiveSummary, CopyEntry, DirectoryEntry, FileEntry};
use tokio_util::sync::CancellationToken;

use crate::error::{ArchiveError, SinkError};
use crate::set::ArchiveSet;

/// Decodes archives.
pub trait ArchiveProvider: Send + Sync {
    /// Lists an archive without decoding it and refuses what cannot be installed: encryption, symbolic links,
    /// unsafe names, claims beyond `limits.rs`.
    ///
    /// # Errors
    /// Every variant of [`ArchiveError`] but `Sink`.
    fn inspect(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<ArchiveListing, ArchiveError>;

    /// Decodes an archive that [`Self::inspect`] listed and pushes its entries into `sink`.
    ///
    /// # Errors
    /// [`ArchiveError::Sink`] when the sink refused an entry, any other variant when the archive is at fault.
    fn extract(
        &self,
        archive: &ArchiveSet,
        listing: &Arc<ArchiveListing>,
        sink: SharedSink,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError>;
}

/// A sink and its owner's handle to it, on one thread: decoders keep their writers longer than a borrow lasts.
pub type SharedSink = Rc<RefCell<dyn EntrySink>>;

/// Takes the entries of archives, in archive order.
///
/// Calls follow one grammar: `archive_begin (directory | copy | file_begin chunk* file_end)* archive_end`, repeated.
pub trait EntrySink {
    /// An archive begins.
    fn archive_begin(&mut self, archive: &ArchiveSummary) -> Result<(), SinkError>;
    /// A folder; it may be named again and its parents may never be named.
    fn directory(&mut self, directory: &DirectoryEntry) -> Result<(), SinkError>;
    /// A file begins; exactly `file.size` bytes follow in chunks.
    fn file_begin(&mut self, file: &FileEntry) -> Result<(), SinkError>;
    /// The next bytes of the open file, never empty.
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), SinkError>;
    /// The open file is complete; `crc32` is the CRC-32 (IEEE 802.3) of its bytes as decoded.
    fn file_end(&mut self, crc32: u32) -> Result<(), SinkError>;
    /// A file that is identical to an earlier one of this archive.
    fn copy(&mut self, copy: &CopyEntry) -> Result<(), SinkError>;
    /// The archive is complete.
    fn archive_end(&mut self) -> Result<(), SinkError>;
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

/// All entries of an archive, in archive order, within the limits and with sums that hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveListing {
    /// What is announced to the sink.
    pub summary: ArchiveSummary,
    /// The entries, in archive order.
    pub entries: Vec<ListedEntry>,
}

/// Which provider decodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProviderChoice {
    /// `rars`, in process.
    #[default]
    Native,
    /// The external program at this path, or of this name on `PATH`.
    Unrar(PathBuf),
}
