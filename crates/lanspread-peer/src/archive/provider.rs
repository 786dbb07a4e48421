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

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::entry::EntryPath;
use super::error::{ArchiveError, SinkError};
use super::set::ArchiveSet;

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

/// What an archive announces about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveSummary {
    /// File name of the archive, or of its first volume.
    pub name: String,
    /// Container format.
    pub format: ArchiveFormat,
    /// Whether files depend on the ones before them.
    pub solid: bool,
    /// Counts and bytes of all entries.
    pub totals: Totals,
}

/// Container format of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveFormat {
    /// RAR 1.5 to 4.x.
    Rar4,
    /// RAR 5 to 7.
    Rar5,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Files, copies included.
    pub files: u64,
    /// Folders that are named as entries.
    pub directories: u64,
    /// Unpacked bytes of all files, copies included.
    pub bytes: u64,
}

impl Totals {
    /// Sum of two totals, or nothing on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            files: self.files.checked_add(other.files)?,
            directories: self.directories.checked_add(other.directories)?,
            bytes: self.bytes.checked_add(other.bytes)?,
        })
    }

    /// Files and folders together.
    pub fn entries(self) -> u64 {
        self.files.saturating_add(self.directories)
    }
}

/// Seconds since the Unix epoch, UTC; negative before 1970. Finer detail is not kept.
pub type UnixSeconds = i64;

/// A folder inside an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Where it stands in the installed tree.
    pub path: EntryPath,
}

/// A file inside an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Where it stands in the installed tree.
    pub path: EntryPath,
    /// Unpacked bytes.
    pub size: u64,
    /// CRC-32 of the unpacked bytes when the archive has one.
    pub crc32: Option<u32>,
    /// Modification time.
    pub modified: Option<UnixSeconds>,
    /// Whether anyone may execute it; nothing else of its mode survives.
    pub executable: bool,
}

/// A file that the archive stores as a reference to an earlier one: RAR 5 file references and hard links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyEntry {
    /// Where it stands in the installed tree.
    pub path: EntryPath,
    /// The earlier file of the same archive.
    pub original: EntryPath,
    /// Unpacked bytes: those of the original.
    pub size: u64,
    /// Modification time.
    pub modified: Option<UnixSeconds>,
    /// Whether anyone may execute it.
    pub executable: bool,
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
