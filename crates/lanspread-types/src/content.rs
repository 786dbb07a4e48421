//! What archives and games hold.

use serde::{Deserialize, Serialize};

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
