//! Errors by whose fault they are, because that decides what happens next. A [`ContentError`] is the source's fault,
//! and another source can be tried. A [`LocalError`] happens on this machine; the receiver decides whether what a source
//! sent may have caused it.

use std::io;
use std::path::{Path, PathBuf};

use crate::checksum::Checksum;
use crate::entry_path::NameError;
use crate::ids::GameVersion;

/// A failure of this machine: disk, permissions, space.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb phrase such as `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The operation does not fit on the disk.
    #[error("{} has {free_bytes} bytes free{} but {needed_bytes} are needed", path.display(), booked(*booked_bytes))]
    NotEnoughSpace {
        /// The games directory.
        path: PathBuf,
        /// Bytes that the operation takes, including names and a margin.
        needed_bytes: u64,
        /// Bytes that an ordinary user may still write.
        free_bytes: u64,
        /// Bytes of these that running operations have booked but not written yet.
        booked_bytes: u64,
    },
}

fn booked(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { format!(", of which other operations have booked {bytes},") }
}

impl LocalError {
    /// Wraps an error of the system about `path`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the system does not let this process write to the place at all.
    pub fn is_refused_write(&self) -> bool {
        matches!(self.code(), "permission-denied" | "read-only")
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotEnoughSpace { .. } => "not-enough-space",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk-full",
                io::ErrorKind::PermissionDenied => "permission-denied",
                io::ErrorKind::ReadOnlyFilesystem => "read-only",
                _ => "local-io",
            },
        }
    }
}

/// Something is in a place where only lanspread writes, and no crash of lanspread can have left it.
#[derive(Debug, thiserror::Error)]
#[error("{} {what}; lanspread leaves it alone", path.display())]
pub struct ForeignState {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it, as a verb phrase that follows the path.
    pub what: String,
}

/// Content from a source that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A name that cannot be installed, or not safely.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Content whose CRC-32 differs from the announced one.
    #[error("`{path}` has CRC-32 {got}, expected {expected}")]
    Checksum {
        /// Path of the entry.
        path: String,
        /// CRC-32 announced.
        expected: Checksum,
        /// CRC-32 of the bytes received.
        got: Checksum,
    },
    /// A copy of a file that this archive has not contained so far.
    #[error("`{path}` is a copy of `{original}`, which is not an earlier file")]
    UnknownOriginal {
        /// Path of the copy.
        path: String,
        /// Path it refers to.
        original: String,
    },
    /// A list of root files that cannot be those of one game.
    #[error("its list of files cannot be downloaded: {0}")]
    RootFiles(String),
    /// A sentinel whose version is not the offered one.
    #[error("its version.ini does not say version {expected}")]
    Sentinel {
        /// The offered version.
        expected: GameVersion,
    },
}

impl ContentError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "entry-name-refused",
            Self::Checksum { .. } => "checksum-mismatch",
            Self::UnknownOriginal { .. } => "copy-without-original",
            Self::RootFiles(_) => "root-files-refused",
            Self::Sentinel { .. } => "sentinel-mismatch",
        }
    }
}
