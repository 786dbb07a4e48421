//! What archives and games hold.
//!
//! The content of archives travels as [`EntryStep`]s, in one order:
//!
//! ```text
//! archive = ArchiveBegin (Directory | Copy | FileBegin Data* FileEnd)* ArchiveEnd
//! ```
//!
//! That order is written down three times and no more: in this enum, which decoders push, sinks take and the receiver's
//! queue holds; in the messages of the protocol, whose bytes are fixed; and in the grammar that checks what a source
//! sends.

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

/// A part of an archive that is not packed data: one header, or several that touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderRange {
    /// Which volume of the archive, from 0.
    pub volume: usize,
    /// Where it begins in the volume.
    pub offset: u64,
    /// How long it is; at least 1.
    pub length: u64,
}

/// A part of an archive that is packed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataRange {
    /// Which volume of the archive, from 0.
    pub volume: usize,
    /// Where it begins in the volume.
    pub offset: u64,
    /// How long it is; at least 1.
    pub length: u64,
}

/// Counts and bytes of entries.
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
    /// Sum of two totals; `None` on overflow.
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

/// Seconds since the Unix epoch, UTC; negative before 1970. Fractions of a second are not kept.
pub type UnixSeconds = i64;

/// A folder inside an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its place in the installed tree.
    pub path: EntryPath,
}

/// A file inside an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its place in the installed tree.
    pub path: EntryPath,
    /// Unpacked bytes.
    pub size: u64,
    /// CRC-32 of the unpacked bytes, if the archive stores one.
    pub checksum: Option<Checksum>,
    /// Modification time, if the archive stores one.
    pub modified: Option<UnixSeconds>,
    /// Whether its owner, its group or anyone else may execute it; the rest of its mode is dropped.
    pub executable: bool,
}

/// A file that the archive stores as a reference to an earlier one: RAR 5 file references and hard links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyEntry {
    /// Its place in the installed tree.
    pub path: EntryPath,
    /// The earlier file of the same archive.
    pub original: EntryPath,
    /// Unpacked bytes: those of the original.
    pub size: u64,
    /// Modification time, if the archive stores one.
    pub modified: Option<UnixSeconds>,
    /// Whether its owner, its group or anyone else may execute it.
    pub executable: bool,
}

/// A file in a game root that a peer offers: an archive, a volume or the sentinel.
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
    /// Downloaded: it can be served.
    Ready,
    /// Installed, but not downloaded: it cannot be served.
    LocalOnly,
    /// Neither: the folder holds something else.
    Incomplete,
}

/// How far an installed tree is known to be what the organiser of a catalog has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstallTrust {
    /// Each of its bytes was compared with a manifest that a catalog names.
    Verified,
    /// It is what a source sent, or what was in an archive.
    Unverified,
}

/// A game that a peer offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameOffer {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// Bytes of its root files; with `entries`, of its installed files.
    pub bytes: u64,
    /// Whether it is offered by entries only: the installed files, without the archives.
    pub entries: bool,
}

/// One step of an archive's content. `D` is how its bytes are held: `&[u8]` while they are pushed, an owned buffer
/// where they wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryStep<D> {
    /// An archive begins.
    ArchiveBegin(ArchiveSummary),
    /// A folder. It may be named more than once, and its parents need not be named at all.
    Directory(DirectoryEntry),
    /// A file begins; exactly [`FileEntry::size`] bytes follow as data.
    FileBegin(FileEntry),
    /// The next bytes of the open file, never empty.
    Data(D),
    /// The open file is complete; carries the checksum of its decoded bytes.
    FileEnd(Checksum),
    /// A file that is identical to an earlier one of this archive.
    Copy(CopyEntry),
    /// The archive is complete.
    ArchiveEnd,
}

impl<D> EntryStep<D> {
    /// Converts how the bytes are held and keeps the rest of the step.
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
