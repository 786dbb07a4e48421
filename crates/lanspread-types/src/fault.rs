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
    /// Something is under a name of ours that no crash of lanspread leaves.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// The file system has no room for as many files and folders.
    #[error("{} has room for {free_inodes} more files and folders{} but {needed_inodes} are needed", path.display(), booked(*booked_inodes))]
    NotEnoughInodes {
        /// The games directory.
        path: PathBuf,
        /// Files and folders that the operation creates, with a margin.
        needed_inodes: u64,
        /// Files and folders that an ordinary user may still create.
        free_inodes: u64,
        /// How many of these running operations have booked but not created yet.
        booked_inodes: u64,
    },
    /// An operation failed after the point from which it is only completed, never undone. Its result is on disk, but
    /// either not certain to survive a power failure, or not cleaned up. The next command on the game completes it.
    #[error("{} is {done}, but {}: {source}", path.display(), source.what_is_open())]
    Unfinished {
        /// What the operation changed.
        path: PathBuf,
        /// What happened to it, as a participle such as `installed`.
        done: &'static str,
        /// The step that failed.
        source: Box<LocalError>,
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

    /// Says that the operation had already done what it was asked for when this happened.
    #[must_use]
    pub fn after(self, path: impl AsRef<Path>, done: &'static str) -> Self {
        Self::Unfinished { path: path.as_ref().to_owned(), done, source: Box::new(self) }
    }

    /// What a failed step after the decisive one leaves open.
    fn what_is_open(&self) -> &'static str {
        match self {
            Self::Io { action: "sync", .. } => "not yet durable",
            _ => "not yet finished",
        }
    }

    /// Whether the system does not let this process write to the place at all.
    pub fn is_refused_write(&self) -> bool {
        matches!(self.code(), "permission-denied" | "read-only")
    }

    /// Whether the file system has no space or no file left for what was to be created.
    pub fn is_disk_full(&self) -> bool {
        self.code() == "disk-full"
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotEnoughSpace { .. } => "not-enough-space",
            Self::NotEnoughInodes { .. } => "not-enough-inodes",
            Self::Unfinished { .. } => "unfinished",
            Self::Foreign(_) => "foreign-state",
            Self::Io { action: "lock", source, .. } if is_without_locks(source) => "no-locks",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk-full",
                io::ErrorKind::PermissionDenied => "permission-denied",
                io::ErrorKind::ReadOnlyFilesystem => "read-only",
                _ => "local-io",
            },
        }
    }
}

/// Whether the file system cannot lock files, or its server of locks does not run.
fn is_without_locks(error: &io::Error) -> bool {
    let no_server = rustix::io::Errno::NOLCK.raw_os_error();
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(no_server)
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
    /// Paths that need more folders than were announced.
    #[error("its paths need more than {limit} folders, the most for what it announced")]
    TooManyFolders {
        /// The most folders that its totals allow.
        limit: u64,
    },
    /// A list of root files that cannot be those of one game.
    #[error("its list of files cannot be downloaded: {0}")]
    RootFiles(String),
    /// Content that is not what a repair needs.
    #[error("`{path}` is not what was installed: {what}")]
    NotInstalled {
        /// Path of the entry.
        path: String,
        /// What is different.
        what: String,
    },
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
            Self::TooManyFolders { .. } => "too-many-folders",
            Self::RootFiles(_) => "root-files-refused",
            Self::NotInstalled { .. } => "not-what-was-installed",
            Self::Sentinel { .. } => "sentinel-mismatch",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(action: &'static str, errno: i32) -> LocalError {
        LocalError::io(action, "/games/g")(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn a_failure_after_the_decisive_step_says_what_is_done_and_what_is_open() {
        let sync = failed("sync", 5).after("/games/g/local", "installed");
        assert_eq!(sync.code(), "unfinished");
        let text = sync.to_string();
        assert!(text.starts_with("/games/g/local is installed, but not yet durable: cannot sync /games/g"));
        let remove = failed("remove", 13).after("/games/g/local", "uninstalled").to_string();
        assert!(remove.starts_with("/games/g/local is uninstalled, but not yet finished: cannot remove"));
    }

    #[test]
    fn a_file_system_without_locks_has_a_code_of_its_own() {
        for errno in [37, 38, 95] {
            assert_eq!(failed("lock", errno).code(), "no-locks", "{errno}");
        }
        assert_eq!(failed("lock", 5).code(), "local-io");
        assert_eq!(failed("sync", 95).code(), "local-io");
    }

    #[test]
    fn a_disk_without_space_or_quota_is_full() {
        for errno in [28, 122] {
            assert!(failed("create", errno).is_disk_full(), "{errno}");
        }
        assert!(!failed("create", 5).is_disk_full());
    }
}
