//! What archives and games hold.
//!
//! The content of archives travels as [`EntryStep`]s, in one order:
//!
//! ```text
//! archive = ArchiveBegin (Directory | Copy | FileBegin Data* FileEnd)* ArchiveEnd
//! ```
//!
//! That order has three spellings and no more: this enum, which decoders push, sinks take and the receiver's queue
//! holds; the messages of the wire, whose bytes are fixed; and the grammar that judges what a source sends.

use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;
use crate::entry_path::EntryPath;
use crate::ids::{GameId, GameVersion};

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
    pub checksum: Option<Checksum>,
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

/// A file in a game root that is offered: an archive, a volume or the sentinel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RootFile {
    /// File name.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
}

/// What this machine can do with a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// Downloaded: can be served.
    Ready,
    /// Installed, not shareable.
    LocalOnly,
    /// Neither: a folder with something else in it.
    Incomplete,
}

/// A game that a peer offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameOffer {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// Bytes of its root files.
    pub bytes: u64,
}

/// One step of an archive's content. `D` is how its bytes are held: `&[u8]` while they are pushed, an owned buffer
/// where they wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryStep<D> {
    /// An archive begins.
    ArchiveBegin(ArchiveSummary),
    /// A folder; it may be named again and its parents may never be named.
    Directory(DirectoryEntry),
    /// A file begins; exactly [`FileEntry::size`] bytes follow as data.
    FileBegin(FileEntry),
    /// The next bytes of the open file, never empty.
    Data(D),
    /// The open file is complete; the checksum of its bytes as decoded.
    FileEnd(Checksum),
    /// A file that is identical to an earlier one of this archive.
    Copy(CopyEntry),
    /// The archive is complete.
    ArchiveEnd,
}

impl<D> EntryStep<D> {
    /// The same step, with its bytes held otherwise.
    pub fn map_data<E>(self, hold: impl FnOnce(D) -> E) -> EntryStep<E> {
        match self {
            Self::ArchiveBegin(archive) => EntryStep::ArchiveBegin(archive),
            Self::Directory(directory) => EntryStep::Directory(directory),
            Self::FileBegin(file) => EntryStep::FileBegin(file),
            Self::Data(bytes) => EntryStep::Data(hold(bytes)),
            Self::FileEnd(checksum) => EntryStep::FileEnd(checksum),
            Self::Copy(copy) => EntryStep::Copy(copy),
            Self::ArchiveEnd => EntryStep::ArchiveEnd,
        }
    }
}
