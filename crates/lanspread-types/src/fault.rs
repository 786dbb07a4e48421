//! Two kinds of fault that are answered differently, wherever they come from: a [`ContentError`] is the source's (the
//! next source gets a fresh attempt), a [`LocalError`] is this machine's (no other source can help).

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
        /// What was tried, as a verb phrase such as `create`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The announced total does not fit.
    #[error(
        "{} has {free_bytes} bytes free{} but {needed_bytes} are needed; free some space or choose another --games-dir",
        path.display(), booked(*booked_bytes)
    )]
    NotEnoughSpace {
        /// The games directory.
        path: PathBuf,
        /// Bytes the install takes, with room for names and a margin.
        needed_bytes: u64,
        /// Bytes an ordinary user may still write.
        free_bytes: u64,
        /// Bytes of these that running operations have booked and not written yet.
        booked_bytes: u64,
    },
}

fn booked(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { format!(", of which other operations have booked {bytes},") }
}

impl LocalError {
    /// Wraps what the system said about `path`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the place may not be written by us at all.
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

/// Something stands where only we write, and no crash of ours leaves it there.
#[derive(Debug, thiserror::Error)]
#[error("{} {what}; lanspread leaves it alone", path.display())]
pub struct ForeignState {
    /// What stands in the way.
    pub path: PathBuf,
    /// What is odd about it.
    pub what: String,
}

/// Content that a source sent and that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A name that must not or cannot be installed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Content with another CRC-32 than announced.
    #[error("`{path}` has CRC-32 {got}, expected {expected}")]
    Checksum {
        /// Path of the entry.
        path: String,
        /// CRC-32 announced.
        expected: Checksum,
        /// CRC-32 of the bytes received.
        got: Checksum,
    },
    /// A copy of a file that this archive did not bring.
    #[error("`{path}` is a copy of `{original}`, which is no earlier file")]
    UnknownOriginal {
        /// Path of the copy.
        path: String,
        /// Path it refers to.
        original: String,
    },
    /// A list of root files that cannot be one game.
    #[error("its list of files cannot be downloaded: {0}")]
    RootFiles(String),
    /// A sentinel that does not say the version it was offered as.
    #[error("its version.ini does not say version {expected}")]
    Sentinel {
        /// The version offered.
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
